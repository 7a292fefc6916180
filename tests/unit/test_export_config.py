"""What cannot be exported is refused before any job, or left out of the choice with its reason."""

import json

import pytest
from test_candidates import candidate
from test_configuration import SCHEMA, small

from kalam.configuration.project import exports_best, leads_to_export
from kalam.configuration.resolve import resolve
from kalam.evaluation.candidates import compare
from kalam.export.architectures import adapter_objection, architecture_objection
from kalam.export.convertible import folder_objection, require_convertible, require_exportable
from kalam.files.errors import InputError

EXPORTED = {"runs": ["adapt"]}


def refuse(config):
    """Whatever refuses a configuration before any job."""
    require_exportable(resolve(config, SCHEMA)["projects"])


def test_exports_have_their_defaults_and_nothing_is_exported_without(tmp_path):
    assert "exports" not in resolve(small(), SCHEMA)["projects"]["bangla"]
    project = resolve(small(exports=EXPORTED), SCHEMA)["projects"]["bangla"]
    exports = project["exports"]
    assert (exports["dtype"], exports["quantisations"], exports["adapter"]) == (
        "fp16",
        ["f16", "q8_0", "q4_k_m"],
        False,
    )
    assert exports["bounds"]["f16"] == {"divergence": 1e-4, "agreement": 0.995}
    assert exports["bounds"]["q8_0"] == {"divergence": 0.002, "agreement": 0.98}
    assert exports["bounds"]["q4_k_m"] == {"divergence": 0.05, "agreement": 0.88}
    assert exports_best(project) == (project["runs"]["adapt"]["base"] == "best")
    assert leads_to_export(project, "adapt")


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (
            {"exports": {"runs": ["adopt"]}},
            "exports.runs: found adopt; allowed are the runs of tasks that can be exported: adapt",
        ),
        ({"exports": {**EXPORTED, "quantisations": ["q4"]}}, "exports.quantisations.0: found 'q4'; allowed is one of"),
        ({"exports": {}}, "exports: missing key runs"),
        ({"exports": {**EXPORTED, "bounds": {"f16": {"divergence": 1}}}}, "exports.bounds.f16: missing key agreement"),
        (
            {"exports": EXPORTED, "models__small__architecture": {"model_type": "xglm"}, "runs__adapt__base": "small"},
            r"exports.runs: found adapt, whose base cannot be converted \(small: llama.cpp has no xglm; it has llama",
        ),
        (
            {"exports": EXPORTED, "models__small__architecture": {"model_type": "qwen2"}, "runs__adapt__base": "small"},
            r".*\(small: AutoTokenizer replaces a tokenizer trained here in a folder of qwen2\)",
        ),
    ],
)
def test_what_cannot_be_exported_is_refused(edits, message):
    with pytest.raises(InputError, match=f"config: projects.bangla.{message}"):
        refuse(small(**edits))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer_types": ["full_attention"]}, "full_attention in layer 1; llama.cpp takes sliding_attention"),
        ({"layer_types": ["sliding_attention"] * 6}, "sliding_attention in layer 6; llama.cpp takes full_attention"),
        ({}, None),
        ({"head_dim": 64, "layer_types": ["sliding_attention"] * 3}, None),
    ],
)
def test_a_gemma_that_llama_cpp_would_compute_otherwise_is_refused(settings, message):
    found = architecture_objection({"model_type": "gemma3_text", **settings}, tokenizer_trained_here=True)
    assert (found is None) == (message is None)
    assert message is None or message in found


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"head_dim": 64}, True),
        ({"head_dim": 64, "query_pre_attn_scalar": 64}, False),
        ({"head_dim": 128, "query_pre_attn_scalar": 168, "num_hidden_layers": 62}, False),
        ({"model_type": "llama", "head_dim": 64}, False),
    ],
)
def test_an_adapter_whose_base_llama_cpp_would_compute_otherwise_is_refused(settings, refused):
    settings = {"model_type": "gemma3_text", **settings}
    assert (adapter_objection(settings) is not None) == refused
    edits = {"models__small__architecture": settings, "runs__adapt__base": "small"}
    refuse(small(**edits, exports=EXPORTED))
    if refused:
        message = r"exports.adapter: found true, .*query_pre_attn_scalar 256; llama.cpp takes head_dim, 64"
        with pytest.raises(InputError, match=message):
            refuse(small(**edits, exports={**EXPORTED, "adapter": True}))


@pytest.mark.parametrize(
    ("meta", "refused"),
    [({"identity": {"kind": "scratch"}}, True), ({"kind": "hub"}, False), ({"kind": "extended"}, False)],
)
def test_a_folder_s_tokenizer_matters_where_it_was_trained_here(tmp_path, meta, refused):
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    assert (folder_objection(tmp_path) is not None) == refused
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "xglm"}))
    with pytest.raises(InputError, match=r"cannot be exported: llama.cpp has no xglm"):
        require_convertible(tmp_path)


def test_a_candidate_that_cannot_be_exported_is_compared_and_not_chosen():
    barred = candidate(60.0)[0], "cannot be exported: why"
    table, best = compare({"first": barred, "second": candidate(90.0)}, ["news"], 8, "lowest")
    assert best["model"] == "second"
    assert table[0]["bits_per_byte"] < table[1]["bits_per_byte"]
    assert (table[0]["eligible"], table[0]["reason"]) == (False, "cannot be exported: why")
    with pytest.raises(InputError, match="first is not eligible: cannot be exported: why"):
        compare({"first": barred, "second": candidate(90.0)}, ["news"], 8, "first")
