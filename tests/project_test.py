"""The project's own rules: packages, import directions, file sizes, what no file may contain."""

import ast
import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WINGS = ("axml_jax", "kernels", "launch", "benchmarks", "tests")
MOST_LINES = 400
MOST_LINES_OF_A_SCRIPT = 100
README_MARK = "<!-- tests/project_test.py runs this -->"
PAGES = (ROOT / "README.md", ROOT / "kernels" / "README.md", *sorted(ROOT.glob("docs/*.md")))

DISTRIBUTIONS = {  # where the two names differ
    "absl": "absl-py",
    "orbax": "orbax-checkpoint",
    "tensorflow_datasets": "tensorflow-datasets",
}
KERNELS_MAY_IMPORT = {"axml_kernels", "jax", "numpy", "jaxtyping"}
# Figures can be computed where jax is not; jaxtyping comes without it.
FIGURES = {"axml_jax.metrics", "axml_jax.metric_terms", "axml_jax.analysis", "axml_jax.top_k"}
FIGURES_MAY_IMPORT = {"numpy", "scipy", "jaxtyping", "matplotlib", "axml_jax.errors", *FIGURES}
# Arrows point down ARCHITECTURE's page: what stands above may not be imported from below.
TOP = ("axml_jax.train", "axml_jax.baselines", "axml_jax.predict", "axml_jax.model",
       "axml_jax.ensemble", "axml_jax.explain", "axml_jax.explain_page",
       "axml_jax.explain_picture")  # fmt: skip
NEVER_IMPORTS = {
    "axml_jax": ("launch", "benchmarks", "tests"),
    "axml_jax.models": ("axml_jax.data", *TOP),
    "axml_jax.losses": ("axml_jax.data", "axml_jax.models", *TOP),
    "axml_jax.data": ("axml_jax.models", "axml_jax.losses", *TOP),
}
# YAML can build objects; nothing here is written in it.
UNSAFE_MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal",
                  "shelve", "yaml", "ruamel"}  # fmt: skip
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen",
                "subprocess.getoutput", "subprocess.getstatusoutput", "shutil.unpack_archive",
                "asyncio.create_subprocess_shell"}  # fmt: skip
# What must be said, and how: the default has changed from version to version, or is the other.
SAFE_IF_SAID = {"torch.load": ("weights_only", True)}


def sources(*wings: str) -> list[Path]:
    return [path for wing in wings or WINGS for path in sorted((ROOT / wing).rglob("*.py"))]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part not in ("kernels", "__init__"))


def imports(source: str, outermost_only: bool = False) -> list[str]:
    """Dotted names of the modules that `source` imports; `from a import b` gives a and a.b."""

    def visit(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (name.name for name in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"line {child.lineno}: imports are absolute here"
                assert child.module is not None
                yield child.module
                yield from (f"{child.module}.{name.name}" for name in child.names)
            elif not (outermost_only and isinstance(child, ast.FunctionDef)):
                yield from visit(child)

    return list(visit(ast.parse(source)))


def lies_in(module: str, packages: tuple[str, ...] | set[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def foreign(module: str, allowed: set[str]) -> bool:
    """Whether `module` is neither in the standard library nor in `allowed`."""
    return module.split(".")[0] not in sys.stdlib_module_names and not lies_in(module, allowed)


def unsafe(source: str) -> list[str]:
    """Uses of pickle and its kin, of eval and exec, of allow_pickle, of shells, of unpacking."""
    imported = imports(source)
    found = [name for name in imported if name.split(".")[0] in UNSAFE_MODULES]
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        said = {
            keyword.arg: keyword.value.value if isinstance(keyword.value, ast.Constant) else "?"
            for keyword in node.keywords
        }
        wrong = [name] if name in UNSAFE_CALLS else []
        wrong += [word for word in ("allow_pickle", "shell") if said.get(word, False) is not False]
        option, value = SAFE_IF_SAID.get(name, ("", None))
        wrong += [name] if said.get(option) is not value else []
        # A zip archive's own way out of its folder is barred by zipfile; tarfile has a filter.
        if "tarfile" in imported and re.search(r"\.extract(all)?$", name):
            wrong += [name] if said.get("filter") != "data" else []
        found += [f"{what} in line {node.lineno}" for what in wrong]
    return found


@pytest.fixture(scope="module")
def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def test_every_package_on_disk_is_listed_and_the_other_way_round(
    setup_cfg: configparser.ConfigParser,
) -> None:
    on_disk = {module_name(path / "__init__.py") for path in
               {path.parent for path in sources("axml_jax", "kernels")}}  # fmt: skip
    listed = setup_cfg["options"]["packages"].split()
    assert sorted(listed) == sorted(on_disk)
    for package in listed:
        folder = ROOT / ("kernels" if package == "axml_kernels" else "") / package.replace(".", "/")
        assert (folder / "__init__.py").is_file(), f"{folder.relative_to(ROOT)} is no package"
    for typed in ("axml_jax/py.typed", "kernels/axml_kernels/py.typed"):
        assert (ROOT / typed).is_file()
    assert not (ROOT / "kernels/__init__.py").exists(), "that name belongs to another package"


def test_the_versions_of_python_are_the_same_everywhere(
    setup_cfg: configparser.ConfigParser,
) -> None:
    metadata = setup_cfg["metadata"]["classifiers"]
    classified = [
        int(minor) for minor in re.findall(r"Python :: 3\.(\d+)$", metadata, re.MULTILINE)
    ]
    assert classified == list(range(classified[0], classified[-1] + 1))
    bounds = f">=3.{classified[0]},<3.{classified[-1] + 1}"
    assert setup_cfg["options"]["python_requires"] == bounds
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"$(filter {' '.join(f'3.{minor}.%' for minor in classified)},$(version))" in makefile


def test_every_extra_that_is_not_for_developers_is_used(
    setup_cfg: configparser.ConfigParser,
) -> None:
    modules = {"omikuji": "omikuji", "scikit-learn": "sklearn", "tensorboardX": "tensorboardX"}
    imported = {
        name.split(".")[0]
        for path in sources("axml_jax", "launch", "benchmarks")
        for name in imports(path.read_text(encoding="utf-8"))
    }
    for extra, packages in setup_cfg["options.extras_require"].items():
        if extra not in ("dev", "cluster", "cuda", "browser", "soak"):
            for package in re.findall(r"^[\w-]+", packages, re.MULTILINE):
                assert modules.get(package, package) in imported, f"{extra}: {package}"


def test_version_is_a_literal_that_the_changelog_knows() -> None:
    tree = ast.parse((ROOT / "axml_jax/__init__.py").read_text(encoding="utf-8"))
    versions = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"
    ]
    assert len(versions) == 1
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(versions[0])}\b", changelog, re.MULTILINE)


def test_outermost_imports_are_all_required_at_installation(
    setup_cfg: configparser.ConfigParser,
) -> None:
    required = re.findall(r"^[\w-]+", setup_cfg["options"]["install_requires"], re.MULTILINE)
    own = {"axml_jax", "axml_kernels"}
    missing = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources("axml_jax", "kernels")
        for name in imports(path.read_text(encoding="utf-8"), outermost_only=True)
        if foreign(name, own)
        and DISTRIBUTIONS.get(name.split(".")[0], name.split(".")[0]) not in required
    }
    assert not missing, "optional packages are imported in the function that uses them"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_keeps_the_rules(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    name, imported = module_name(path), imports(source)
    for package, above in NEVER_IMPORTS.items():
        if lies_in(name, (package,)):
            assert [m for m in imported if lies_in(m, above)] == [], f"{package} lies below these"
    if lies_in(name, ("axml_kernels",)):
        assert [m for m in imported if foreign(m, KERNELS_MAY_IMPORT)] == []
    if lies_in(name, FIGURES):
        assert [m for m in imported if foreign(m, FIGURES_MAY_IMPORT)] == []
    assert unsafe(source) == []
    most = MOST_LINES
    if path.parent in (ROOT / "launch", ROOT / "benchmarks"):
        assert path.stem not in sys.stdlib_module_names, "would hide the standard library's module"
    if path.parent == ROOT / "launch":
        most = MOST_LINES_OF_A_SCRIPT
    lines = source.count("\n")
    assert lines <= most, "too long to read at one sitting: split it"


def test_the_rules_above_can_be_broken() -> None:
    source = """
import os.path, pickle
from axml_jax import data
def late():
    import rich.progress
    if os:
        eval("1"); np.load("x", allow_pickle=True); np.load("y", allow_pickle=False)
def shells(anything):
    run("ls", shell=True); run(["ls"], shell=False); run("ls", shell=anything); os.system("ls")
    torch.load("x"); torch.load("x", weights_only=True); re.compile("x"); compile("x")
    np.load("x", allow_pickle=anything)
"""
    early = ["os.path", "pickle", "axml_jax", "axml_jax.data"]
    assert imports(source, outermost_only=True) == early
    assert imports(source) == [*early, "rich.progress"]
    assert lies_in("axml_jax.data", NEVER_IMPORTS["axml_jax.models"])
    assert not lies_in("axml_jax.data_of_others", NEVER_IMPORTS["axml_jax.models"])
    assert foreign("rich.progress", {"rich_text"})
    assert not foreign("os.path", set())
    assert sorted(unsafe(source)) == sorted([
        "pickle", "eval in line 7", "allow_pickle in line 7", "shell in line 9", "shell in line 9",
        "os.system in line 9", "torch.load in line 10", "compile in line 10",
        "allow_pickle in line 11",
    ])  # fmt: skip
    tar = 'import tarfile\na.extractall(b)\na.extractall(b, filter="data")\na.extract(c)\n'
    assert unsafe(tar) == ["a.extractall in line 2", "a.extract in line 4"]
    assert unsafe(tar.replace("import tarfile", "import zipfile")) == []
    assert unsafe("import yaml\n") == ["yaml"]


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    # /home/me is nobody's: examples may have it.
    place = re.compile(r"(?<![\w.])/(?:home|root|work|Users|mnt)/(?!me\b)\w")
    assert place.search("open('/" + "home/someone/x')")
    texts = [path for wing in WINGS for path in (ROOT / wing).rglob("*")]
    texts += [*ROOT.glob("*.*"), *ROOT.glob("docs/*"), ROOT / "Makefile", ROOT / ".ci/run"]
    kinds = ("", ".py", ".md", ".cfg", ".toml", ".json", ".txt", ".typed")
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in texts
        if path.is_file() and path.suffix in kinds
        for match in place.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text)
    assert [link for link, _ in links if not (page.parent / link).exists()] == []
    for link, anchor in links:
        if anchor:
            heads = re.findall(r"(?m)^#+ (.*)", (page.parent / link).read_text(encoding="utf-8"))
            assert anchor in [head.lower().replace(" ", "-") for head in heads]
    scripts = re.findall(r"python ((?:launch|benchmarks|tests)/[\w/]+\.py)", text)
    scripts += re.findall(r"--config (launch/configs/\w+\.py)", text)
    assert [script for script in scripts if not (ROOT / script).is_file()] == []
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text):
        assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8")


def test_the_example_of_the_readme_runs(tmp_path: Path, user_environment: dict[str, str]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = re.search(rf"{re.escape(README_MARK)}\s*```python\n(.*?)```", readme, re.DOTALL)
    assert example, f"README.md needs a ```python block under the line {README_MARK}"
    (tmp_path / "example.py").write_text(example.group(1), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path,
        env=user_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), "the example shows nothing"
