"""What can be said of a prediction file; apart, for --help need not wait for NumPy."""

JSON_LINES, SCORE_MATRIX, PAIRS = "json_lines", "score_matrix", "pairs"
OMIKUJI, ANNEXML, NPZ = "omikuji", "annexml", "npz"
FORMATS = (JSON_LINES, SCORE_MATRIX, PAIRS, OMIKUJI, ANNEXML, NPZ)

NAMES, IDS = "names", "ids"
LABELS = (NAMES, IDS)

LOGIT, PROBABILITY, SCORE = "logit", "probability", "score"
KINDS = (LOGIT, PROBABILITY, SCORE)

AUTO = "auto"
