"""A small `lora` section of a run, complete, for the tests that add an adapter."""

LORA = {
    "rank": 4,
    "alpha": 8,
    "dropout": 0.0,
    "targets": "all-linear",
    "embeddings": False,
    "rslora": False,
    "dora": False,
    "initialisation": "kaiming",
}
