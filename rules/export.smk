# Exports: runs as merged models and as GGUF, each verified beside what it was made from.
# requires: results/{project}/splits/, .../runs/{run}/{meta,base}.json, .../metrics.tsv for the card
# provides: results/{project}/exports.txt, .../exports/{run}/meta.json, .../exports/{run}.{quant}.{gguf,json},
#           results/.tools/{llama.cpp}/manifest.json

LLAMA_CPP = {
    "package": "llama_cpp_python",
    "version": "0.3.36",
    "sha256": "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
}
TOOLS = f"results/.tools/llama.cpp-{LLAMA_CPP['version']}/manifest.json"


# The only rule about exports that needs the network, so it stays where the workflow was started.
rule llama_cpp:
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
    input:
        run="results/{project}/runs/{run}/meta.json",
        base="results/{project}/runs/{run}/base.json",
        test="results/{project}/splits/test.jsonl",
    output:
        "results/{project}/exports/{run}/meta.json",
    log:
        "logs/{project}/merge_run/{run}.log",
    benchmark:
        "logs/{project}/merge_run/{run}.benchmark.jsonl"
    wildcard_constraints:
        run=runs_exported(),
    conda:
        "../envs/export.yaml"
    params:
        registers=lookup(within=config, dpath="projects/{project}/runs/{run}/registers"),
        quantisation=lookup(
            within=config, dpath="projects/{project}/runs/{run}/quantisation"
        ),
        precision=lookup(
            within=config, dpath="projects/{project}/runs/{run}/training/precision"
        ),
        evaluation=window_settings,
        exports=export_settings("dtype", "tokens", "bounds"),
        code=code("merge_run.py", "kalam.export.auto_reader"),
    message:
        "Merging {wildcards.run}"
    script:
        "../scripts/merge_run.py"


rule card:
    input:
        merged="results/{project}/exports/{run}/meta.json",
        metrics="results/{project}/metrics.tsv",
        statistics="results/{project}/corpus/statistics.tsv",
    output:
        "results/{project}/exports/{run}/README.md",
    log:
        "logs/{project}/card/{run}.log",
    wildcard_constraints:
        run=runs_exported(),
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        project=lookup(within=config, dpath="projects/{project}"),
        code=code("card.py"),
    message:
        "Writing the card of {wildcards.run}"
    script:
        "../scripts/card.py"


rule convert:
    input:
        tools=TOOLS,
        merged="results/{project}/exports/{run}/meta.json",
    output:
        "results/{project}/exports/{run}.f32.gguf",
    log:
        "logs/{project}/convert/{run}.log",
    wildcard_constraints:
        run=runs_exported(),
    conda:
        "../envs/export.yaml"
    params:
        code=code("convert.py", "kalam.export.converter"),
    message:
        "Converting {wildcards.run}"
    script:
        "../scripts/convert.py"


rule convert_projector:
    input:
        tools=TOOLS,
        merged="results/{project}/exports/{run}/meta.json",
    output:
        "results/{project}/exports/{run}.projector.gguf",
    log:
        "logs/{project}/convert_projector/{run}.log",
    wildcard_constraints:
        run=runs_exported(),
    conda:
        "../envs/export.yaml"
    params:
        code=code("convert_projector.py", "kalam.export.converter"),
    message:
        "Converting what {wildcards.run} sees with"
    script:
        "../scripts/convert_projector.py"


rule importance:
    input:
        tools=TOOLS,
        model="results/{project}/exports/{run}.f32.gguf",
        train="results/{project}/splits/train.jsonl",
    output:
        "results/{project}/exports/{run}.imatrix.gguf",
    log:
        "logs/{project}/importance/{run}.log",
    wildcard_constraints:
        run=runs_exported(),
    conda:
        "../envs/export.yaml"
    params:
        registers=lookup(within=config, dpath="projects/{project}/runs/{run}/registers"),
        chunks=lookup(within=config, dpath="projects/{project}/exports/chunks"),
        code=code("importance.py"),
    message:
        "Weighing what of {wildcards.run} is used"
    script:
        "../scripts/importance.py"


rule quantise:
    input:
        tools=TOOLS,
        model="results/{project}/exports/{run}.f32.gguf",
        matrix=importance_matrix,
    output:
        "results/{project}/exports/{run}.{quant}.gguf",
    log:
        "logs/{project}/quantise/{run}.{quant}.log",
    wildcard_constraints:
        run=runs_exported(),
        quant="bf16|f16|q8_0|q[3456]_k(_m)?",
    conda:
        "../envs/export.yaml"
    params:
        code=code("quantise.py"),
    message:
        "Quantising {wildcards.run} to {wildcards.quant}"
    script:
        "../scripts/quantise.py"


rule verify:
    input:
        tools=TOOLS,
        merged="results/{project}/exports/{run}/meta.json",
        gguf="results/{project}/exports/{run}.{quant}.gguf",
        test="results/{project}/splits/test.jsonl",
    output:
        "results/{project}/exports/{run}.{quant}.json",
    log:
        "logs/{project}/verify/{run}.{quant}.log",
    wildcard_constraints:
        run=runs_exported(),
        quant="f32|bf16|f16|q8_0|q[3456]_k(_m)?",
    conda:
        "../envs/export.yaml"
    params:
        registers=lookup(within=config, dpath="projects/{project}/runs/{run}/registers"),
        evaluation=window_settings,
        exports=export_settings("tokens", "bounds"),
        code=code("verify.py", "kalam.export.llamacpp"),
    message:
        "Verifying {wildcards.run} in {wildcards.quant}"
    script:
        "../scripts/verify.py"


rule convert_adapter:
    input:
        tools=TOOLS,
        run="results/{project}/runs/{run}/meta.json",
        base="results/{project}/runs/{run}/base.json",
    output:
        adapter="results/{project}/exports/{run}.adapter.gguf",
        base="results/{project}/exports/{run}.base.f32.gguf",
    log:
        "logs/{project}/convert_adapter/{run}.log",
    wildcard_constraints:
        run=runs_exported(),
    conda:
        "../envs/export.yaml"
    params:
        code=code("convert_adapter.py", "kalam.export.converter"),
    message:
        "Converting the adapter of {wildcards.run} and its base"
    script:
        "../scripts/convert_adapter.py"


rule verify_adapter:
    input:
        tools=TOOLS,
        run="results/{project}/runs/{run}/meta.json",
        base="results/{project}/runs/{run}/base.json",
        gguf="results/{project}/exports/{run}.adapter.gguf",
        whole="results/{project}/exports/{run}.base.f32.gguf",
        test="results/{project}/splits/test.jsonl",
    output:
        "results/{project}/exports/{run}.adapter.json",
    log:
        "logs/{project}/verify/{run}.adapter.log",
    wildcard_constraints:
        run=runs_exported(),
    conda:
        "../envs/export.yaml"
    params:
        registers=lookup(within=config, dpath="projects/{project}/runs/{run}/registers"),
        evaluation=window_settings,
        exports=export_settings("tokens", "bounds"),
        code=code("verify_adapter.py", "kalam.export.llamacpp"),
    message:
        "Verifying the adapter of {wildcards.run}"
    script:
        "../scripts/verify_adapter.py"


rule exports:
    input:
        merged=exported_files("{run}/meta.json"),
        cards=exported_files("{run}/README.md"),
        verifications=exported_files("{run}.{kind}.json"),
        projectors=projector_files,
    output:
        text="results/{project}/exports.txt",
        svg="results/{project}/exports.svg",
    log:
        "logs/{project}/exports.log",
    localrule: True
    conda:
        "../envs/corpus.yaml"
    params:
        runs=lambda wildcards: exported_runs(config["projects"][wildcards.project]),
        code=code("exports.py"),
    message:
        "Writing exports.txt"
    script:
        "../scripts/exports.py"


# Asked for by its name only.
rule upload:
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
        run=runs_exported(),
    localrule: True
    conda:
        "../envs/export.yaml"
    params:
        repository=lookup(within=config, dpath="projects/{project}/exports/repository"),
        code=code("upload.py"),
    message:
        "Sending {wildcards.run} to the hub"
    script:
        "../scripts/upload.py"
