"""Makes Tables 1 to 7 of the paper: trains what is missing, scores it, sets ours beside theirs.

    python benchmarks/paper_tables.py --data pydocs --data reuters=FOLDER --out runs/study
    python benchmarks/paper_tables.py --scale paper --data eurlex4k=STORE --out runs/study \\
        --predictions eurlex4k:AnnexML=annexml.txt

Data sets are named (pydocs), prepared stores, or folders that launch/prepare.py --data knows;
NAME=FOLDER names one, and a name of the paper's (eurlex4k, EUR-Lex) brings its published figures.
Methods are values of config.model.name, the consensus of two of them, and prediction files of other
systems.  A plan with estimated times comes first; every step has a folder of its own, and the same
command again goes on where the last one stopped.  Tables go to OUT as Markdown, LaTeX and JSON.

Nothing is chosen here but the epoch, by the validation part of train; settings come from
--config, where somebody chose them in the same way.  The test split is predicted once.

--scale small trains the smallest models, on at most 10,000 documents of each data set: minutes on
two cores.  --scale paper is the paper's setting, and wants a GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kernels"))  # it is run
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a file

from absl import flags

from axml_jax import flags as axml_flags

_DATA = flags.DEFINE_multi_string("data", [], "A data set: NAME, FOLDER or NAME=FOLDER.")
_METHODS = flags.DEFINE_list(
    "methods",
    ["attention_xml", "xml_rnn", "xml_cnn", "parabel", "consensus"],
    "Values of config.model.name, one of its seeds as attention_xml@1; consensus (of attention_xml "
    "and parabel) or consensus:A+B; mean_logits:A+B, such as of attention_xml@0+attention_xml@1.",
)
_PREDICTIONS = flags.DEFINE_multi_string(
    "predictions",
    [],
    "Another system's: DATA:SYSTEM=FILE, predictions for the split --split.  Behind FILE what it "
    "does not tell by itself: ::scores=logit, ::labels=ids, ::format=pairs, ::own_names=FILE.",
)
_MINUTES = flags.DEFINE_multi_string(
    "minutes", [], "What a system of --predictions took, for Table 7: DATA:SYSTEM=TRAIN,TEST."
)
_SCALE = flags.DEFINE_enum("scale", "small", ["small", "paper"], "Which settings to train with.")
_CONFIG = flags.DEFINE_multi_string(
    "config", [], "Other settings: DATA=FILE or DATA/METHOD=FILE, such as launch/configs/rcv1.py."
)
_SET = flags.DEFINE_multi_string(
    "set",
    [],
    "A field of all trainings, such as train.epochs=1; or DATA:FIELD=VALUE, or "
    "DATA/METHOD:FIELD=VALUE.",
)
_VECTORS = flags.DEFINE_string("vectors", "ppmi", "As for launch/prepare.py, where it prepares.")
_SPLIT = flags.DEFINE_string("split", "test", "The split that is scored.")
_TOP_K = flags.DEFINE_integer(
    "top_k", 100, "Labels of a document that are kept; a consensus counts 0 beyond.", lower_bound=5
)
_PLAN_ONLY = flags.DEFINE_boolean("plan_only", False, "Print the plan, and do nothing.")
_OUT = flags.DEFINE_string("out", "", "Folder of the steps and tables.")
axml_flags.require("data", "out")


def main(argv: Sequence[str]) -> None:
    del argv
    from axml_jax import runs
    from axml_jax.baselines import parabel
    from axml_jax.jsonio import read_json
    from benchmarks import (
        paper_content,
        paper_plan,
        paper_settings,
        paper_steps,
        paper_study,
        paper_systems,
        report,
    )
    from benchmarks import paper_writers as writers

    data = paper_plan.read_data(_DATA.value)
    methods = (_METHODS.value, _PREDICTIONS.value)
    systems = paper_systems.read_systems(*methods, data, _MINUTES.value)
    if any(system.method == "parabel" and system.is_trained for system in systems):
        parabel.require()
    settings = paper_settings.read_settings(_CONFIG.value, _SET.value, data, systems)
    study = paper_study.Study(
        out=Path(_OUT.value),
        data=data,
        systems=systems,
        scale=_SCALE.value,
        test=_SPLIT.value,
        top_k=_TOP_K.value,
        settings=settings,
        vectors=_VECTORS.value,
    )
    steps = study.steps()
    paper_steps.show_plan(study.out, steps)
    if _PLAN_ONLY.value:
        return
    paper_steps.claim(study.out)
    with runs.locked(study.out):
        paper_steps.run_steps(study.out, steps)
        tables = paper_content.all_tables(study)
        (study.out / "tables.md").write_text(writers.markdown(tables), encoding="utf-8")
        (study.out / "tables.tex").write_text(writers.latex(tables), encoding="utf-8")
        about = {
            "scale": study.scale,
            "split": study.test,
            "steps": {step.name: read_json(study.out / step.name / "done.json") for step in steps},
            "tables": writers.plain(tables),
        }
        report.write("tables", about, study.out)
    print(writers.markdown(tables))
    print(f"Written to {study.out}: tables.md, tables.tex, tables.json.")


if __name__ == "__main__":
    axml_flags.run(main)
