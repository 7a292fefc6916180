# Exports: runs as merged models and as GGUF, each verified beside what it was made from.
# requires: results/{project}/data/{dataset}/, .../runs/{run}/{meta,base}.json and metrics.tsv for the card
# provides: results/{project}/exports.txt, .../exports/{run}/meta.json, .../exports/{run}.{quant}.{gguf,json},
#           results/.tools/{llama.cpp}/manifest.json

from kalam.configuration.project import export_kinds, root
from kalam.configuration.tasks import BEST
from kalam.export.licences import makers, models_behind

LLAMA_CPP = {
    "package": "llama_cpp_python",
    "version": "0.3.36",
    "sha256": "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
}
TOOLS = f"results/.tools/llama.cpp-{LLAMA_CPP['version']}/manifest.json"


EXPORTED_RUNS = within("exports", exported_runs)


def export_settings(*keys):
    """An input function: some settings of the project's exports."""

    def settings(wildcards):
        exports = config["projects"][wildcards.project]["exports"]
        return {key: exports[key] for key in keys}

    return settings


def importance_matrix(wildcards):
    """The importance matrix, for the types that use one."""
    file = f"results/{wildcards.project}/exports/{wildcards.run}.imatrix.gguf"
    return [file] if "_k" in wildcards.quant else []


def exported_files(pattern):
    """An input function: a file of the exports for every run, and kind, of a project."""

    def files(wildcards):
        project = config["projects"][wildcards.project]
        names = expand(pattern, run=exported_runs(project), kind=export_kinds(project))
        return [f"results/{wildcards.project}/exports/{name}" for name in names]

    return files


def projector_files(wildcards):
    """The vision parts of a project's exports, where it has such."""
    wanted = config["projects"][wildcards.project]["exports"]["projector"]
    return exported_files("{run}.projector.gguf")(wildcards) if wanted else []


def run_statistics(wildcards):
    """How much text each source gives to each split of a run's dataset."""
    dataset = section("runs", wildcards)["dataset"]
    return f"results/{wildcards.project}/data/{dataset}/statistics.tsv"


def bases_of_run(wildcards):
    """The models that a run may have begun with, what they extend included."""
    project = config["projects"][wildcards.project]
    name = root(project["runs"], wildcards.run)
    names = candidates(project) if name == BEST else [name]
    return list(
        dict.fromkeys(m for n in names for m in models_behind(project["models"], n))
    )


def models_of_run(wildcards):
    """The `meta.json` of the models that a run may have begun with."""
    return [
        f"results/{wildcards.project}/models/{name}/meta.json"
        for name in bases_of_run(wildcards)
    ]


def datasets_of_run(wildcards):
    """The datasets that went into a run: its own, its earlier runs' and its base's."""
    project = config["projects"][wildcards.project]
    makers_of_all = [
        maker
        for base in bases_of_run(wildcards)
        for _, maker in makers(project, wildcards.run, base)
    ]
    return sorted({m["dataset"] for m in makers_of_all if m.get("dataset")})


def gguf_files(wildcards):
    """Every verified GGUF of a run."""
    kinds = export_kinds(config["projects"][wildcards.project])
    pattern = "results/{project}/exports/{run}.{kind}.gguf"
    return expand(pattern, kind=kinds, project=wildcards.project, run=wildcards.run)


# The only rule about exports that needs the network, so it stays where the workflow was started.
rule llama_cpp:
    """Fetch llama.cpp at its release and build it, once for all projects."""
    output:
        TOOLS,
    log:
        "logs/llama_cpp.log",
    benchmark:
        "logs/llama_cpp.benchmark.jsonl"
    localrule: True
    conda:
        "../envs/export.yaml"
    threads: 8
    params:
        release=LLAMA_CPP,
        code=code("llama_cpp.py"),
    message:
        "Fetching and building llama.cpp, once for all projects"
    script:
        "../scripts/llama_cpp.py"


rule merge_run:
    """Merge an adapter into its base, and prove the merged model equal to the two."""
    input:
        run="results/{project}/runs/{run}/meta.json",
        weights=run_weights,
        base="results/{project}/runs/{run}/base.json",
        test=rows("runs", "test"),
    output:
        meta="results/{project}/exports/{run}/meta.json",
        weights="results/{project}/exports/{run}/model.safetensors",
    log:
        "logs/{project}/merge_run/{run}.log",
    benchmark:
        "logs/{project}/merge_run/{run}.benchmark.jsonl"
    wildcard_constraints:
        run=EXPORTED_RUNS,
    conda:
        "../envs/export.yaml"
    params:
        parts=setting("runs/{run}/parts"),
        quantisation=setting("runs/{run}/quantisation"),
        evaluation=window_settings,
        exports=export_settings("dtype", "tokens", "bounds"),
        code=code("merge_run.py", "kalam.export.auto_reader"),
    message:
        "{wildcards.project}: merging {wildcards.run}"
    script:
        "../scripts/merge_run.py"


rule card:
    """Write the model card of an export."""
    input:
        merged="results/{project}/exports/{run}/meta.json",
        models=models_of_run,
        train=lambda wildcards: [
            f"results/{wildcards.project}/data/{name}/train.jsonl"
            for name in datasets_of_run(wildcards)
        ],
        metrics="results/{project}/runs/{run}/metrics.tsv",
        statistics=run_statistics,
    output:
        "results/{project}/exports/{run}/README.md",
    log:
        "logs/{project}/card/{run}.log",
    wildcard_constraints:
        run=EXPORTED_RUNS,
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        project=lambda wildcards: config["projects"][wildcards.project],
        datasets=lambda wildcards: datasets_of_run(wildcards),
        code=code("card.py"),
    message:
        "{wildcards.project}: writing the card of {wildcards.run}"
    script:
        "../scripts/card.py"


rule convert:
    """Write a merged model as GGUF in fp32."""
    input:
        tools=TOOLS,
        merged="results/{project}/exports/{run}/meta.json",
        weights="results/{project}/exports/{run}/model.safetensors",
    output:
        "results/{project}/exports/{run}.f32.gguf",
    log:
        "logs/{project}/convert/{run}.log",
    wildcard_constraints:
        run=EXPORTED_RUNS,
    conda:
        "../envs/export.yaml"
    params:
        code=code("convert.py", "kalam.export.converter"),
    message:
        "{wildcards.project}: converting {wildcards.run}"
    script:
        "../scripts/convert.py"


rule convert_projector:
    """Write the vision part of a merged model as a GGUF of its own."""
    input:
        tools=TOOLS,
        merged="results/{project}/exports/{run}/meta.json",
    output:
        "results/{project}/exports/{run}.projector.gguf",
    log:
        "logs/{project}/convert_projector/{run}.log",
    wildcard_constraints:
        run=EXPORTED_RUNS,
    conda:
        "../envs/export.yaml"
    params:
        code=code("convert_projector.py", "kalam.export.converter"),
    message:
        "{wildcards.project}: converting what {wildcards.run} sees with"
    script:
        "../scripts/convert_projector.py"


rule importance:
    """Measure on training text which weights of a model matter, for quantisation."""
    input:
        tools=TOOLS,
        model="results/{project}/exports/{run}.f32.gguf",
        train=rows("runs", "train"),
    output:
        "results/{project}/exports/{run}.imatrix.gguf",
    log:
        "logs/{project}/importance/{run}.log",
    wildcard_constraints:
        run=EXPORTED_RUNS,
    conda:
        "../envs/export.yaml"
    params:
        parts=setting("runs/{run}/parts"),
        chunks=setting("exports/chunks"),
        code=code("importance.py"),
    message:
        "{wildcards.project}: weighing what of {wildcards.run} is used"
    script:
        "../scripts/importance.py"


rule quantise:
    """Write a GGUF in another type."""
    input:
        tools=TOOLS,
        model="results/{project}/exports/{run}.f32.gguf",
        matrix=importance_matrix,
    output:
        "results/{project}/exports/{run}.{quant}.gguf",
    log:
        "logs/{project}/quantise/{run}.{quant}.log",
    wildcard_constraints:
        run=EXPORTED_RUNS,
        quant="bf16|f16|q8_0|q[3456]_k(_m)?",
    conda:
        "../envs/export.yaml"
    params:
        code=code("quantise.py"),
    message:
        "{wildcards.project}: quantising {wildcards.run} to {wildcards.quant}"
    script:
        "../scripts/quantise.py"


rule verify:
    """Prove a GGUF equal, within bounds, to the model that it was made from."""
    input:
        tools=TOOLS,
        merged="results/{project}/exports/{run}/meta.json",
        gguf="results/{project}/exports/{run}.{quant}.gguf",
        test=rows("runs", "test"),
    output:
        "results/{project}/exports/{run}.{quant}.json",
    log:
        "logs/{project}/verify/{run}.{quant}.log",
    wildcard_constraints:
        run=EXPORTED_RUNS,
        quant="f32|bf16|f16|q8_0|q[3456]_k(_m)?",
    conda:
        "../envs/export.yaml"
    params:
        parts=setting("runs/{run}/parts"),
        evaluation=window_settings,
        exports=export_settings("tokens", "bounds"),
        code=code("verify.py", "kalam.export.llamacpp"),
    message:
        "{wildcards.project}: verifying {wildcards.run} in {wildcards.quant}"
    script:
        "../scripts/verify.py"


rule convert_adapter:
    """Write the adapter of a run, and its base, as GGUF."""
    input:
        tools=TOOLS,
        run="results/{project}/runs/{run}/meta.json",
        weights=run_weights,
        base="results/{project}/runs/{run}/base.json",
    output:
        adapter="results/{project}/exports/{run}.adapter.gguf",
        base="results/{project}/exports/{run}.base.f32.gguf",
    log:
        "logs/{project}/convert_adapter/{run}.log",
    wildcard_constraints:
        run=EXPORTED_RUNS,
    conda:
        "../envs/export.yaml"
    params:
        code=code("convert_adapter.py", "kalam.export.converter"),
    message:
        "{wildcards.project}: converting the adapter of {wildcards.run} and its base"
    script:
        "../scripts/convert_adapter.py"


rule verify_adapter:
    """Prove an adapter's GGUF beside its base equal to the two in transformers."""
    input:
        tools=TOOLS,
        run="results/{project}/runs/{run}/meta.json",
        weights=run_weights,
        base="results/{project}/runs/{run}/base.json",
        gguf="results/{project}/exports/{run}.adapter.gguf",
        whole="results/{project}/exports/{run}.base.f32.gguf",
        test=rows("runs", "test"),
    output:
        "results/{project}/exports/{run}.adapter.json",
    log:
        "logs/{project}/verify/{run}.adapter.log",
    wildcard_constraints:
        run=EXPORTED_RUNS,
    conda:
        "../envs/export.yaml"
    params:
        parts=setting("runs/{run}/parts"),
        evaluation=window_settings,
        exports=export_settings("tokens", "bounds"),
        code=code("verify_adapter.py", "kalam.export.llamacpp"),
    message:
        "{wildcards.project}: verifying the adapter of {wildcards.run}"
    script:
        "../scripts/verify_adapter.py"


rule exports:
    """Say what the exports of a project are worth."""
    input:
        merged=exported_files("{run}/meta.json"),
        cards=exported_files("{run}/README.md"),
        verifications=exported_files("{run}.{kind}.json"),
        projectors=projector_files,
    output:
        text=report(
            "results/{project}/exports.txt",
            caption="captions/exports.rst",
            category="{project}",
            labels={"what": "exports"},
        ),
        svg=report(
            "results/{project}/exports.svg",
            caption="captions/exports.rst",
            category="{project}",
            labels={"what": "exports, size and divergence"},
        ),
    log:
        "logs/{project}/exports.log",
    wildcard_constraints:
        project=having(exported_runs),
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        code=code("exports.py"),
    message:
        "{wildcards.project}: writing exports.txt"
    script:
        "../scripts/exports.py"


# What is made of a section of a project, and what the section then has some of.
MADE_OF = {
    "candidates.tsv": ("models", candidates),
    "models/best.json": ("models", candidates),
    "ppl.txt": ("runs", lambda project: project["runs"]),
    "metrics.tsv": ("runs", lambda project: project["runs"]),
    "exports.txt": ("exports", exported_runs),
}


def without_their_section():
    """A wildcard constraint: the files of each project that it lacks the section for."""
    return (
        "|".join(
            f"(?<=results/{name}/){re.escape(file)}"
            for name, project in config["projects"].items()
            for file, (_, some) in MADE_OF.items()
            if not some(project)
        )
        or "(?!)"
    )


def missing_section(wildcards):
    """Say what is to be added to the project."""
    section, _ = MADE_OF[wildcards.asked]
    allowed = f"{section}: {{...}}"
    if section == "exports":
        runs = ", ".join(config["projects"][wildcards.project]["runs"]) or "none yet"
        allowed = f"exports: {{runs: [...]}}, with some of the runs ({runs})"
    there = config["projects"][wildcards.project].get(section)
    found = f"{section}: found none" if there else f"missing key {section}"
    raise SystemExit(
        f"config: projects.{wildcards.project}: {found}, of which {wildcards.asked} is made; "
        f"allowed is {allowed}, see config/README.md"
    )


rule without_section:
    """Say what a file is made of that a project has no section for."""
    input:
        missing_section,
    output:
        "results/{project}/{asked}",
    wildcard_constraints:
        asked=without_their_section(),


rule upload:
    """Send an export to the hub; asked for by its name only."""
    input:
        merged="results/{project}/exports/{run}/meta.json",
        card="results/{project}/exports/{run}/README.md",
        exports="results/{project}/exports.txt",
        files=gguf_files,
    output:
        "results/{project}/exports/{run}.uploaded.json",
    log:
        "logs/{project}/upload/{run}.log",
    wildcard_constraints:
        run=EXPORTED_RUNS,
    localrule: True
    conda:
        "../envs/export.yaml"
    params:
        repository=setting("exports/repository"),
        code=code("upload.py"),
    message:
        "{wildcards.project}: sending {wildcards.run} to the hub"
    script:
        "../scripts/upload.py"
