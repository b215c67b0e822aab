# sieve: a checkpoint becomes an artifact. What kills and full disks do to it is tests/stream's.

load common

MODELS=$BATS_TEST_DIRNAME/../stream/models.py
SCHEMA=$BATS_TEST_DIRNAME/../../reports/schema/ortho-bench-sieve-1.schema.json

# fits FILE: the document fits its schema (where there is jsonschema)
fits() {
    "$PYTHON" -c 'import jsonschema' 2>/dev/null || return 0
    "$PYTHON" -c 'import json, jsonschema, sys
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
jsonschema.validate(json.load(open(sys.argv[2])), schema)' "$SCHEMA" "$1"
}

@test "a lone generated matrix: the artifact, and a summary that says SYNTHETIC" {
    try sieve random:64x129 -o out.d
    wants 0
    says SYNTHETIC
    says "1 layer sieved, 0 pieces copied"
    grep -qE '^size +[0-9.]+ bits a weight: 1 layer' out
    grep -qE '^where +cpu, 1 slot, I/O by (io_uring|threads)$' out
    says "of a budget of 268 MB"
    lacks alone out
    [ "$(ls -A out.d)" = model.safetensors ]
    try inspect --json out.d
    wants 0
    json 'sorted(t["name"] for t in d["tensors"]) == ["w.base.q", "w.base.scale", "w.ortho.col", "w.ortho.row_ptr", "w.ortho.val"]' out
    json '{t["name"]: t["shape"] for t in d["tensors"]}["w.base.q"] == [64, 65]' out
    try inspect out.d
    says "made, not trained"
}

@test "--json: one document, which fits its schema" {
    try sieve random:64x128 -o out.d --json --measure
    wants 0
    [ ! -s err ]
    fits out
    json 'd["status"] == "ok" and d["model"]["synthetic"] is True and d["artifact"] == "out.d"' out
    json 'd["size"]["weights"] == 64 * 128 and d["size"]["bits_per_weight"] == 8 * d["size"]["bytes"] / (64 * 128)' out
    json 'd["units"] == {"layers_sieved": 1, "pieces_copied": 0, "resumed": 0, "total": 1}' out
    json 'd["ceilings"]["slowest"] in d["ceilings"]["bytes_per_s"] and "read" not in d["ceilings"]["bytes_per_s"]' out
    json 'abs(d["ceilings"]["share"] - d["ceilings"]["floor_seconds"] / d["seconds"]) < 1e-9' out
    json '"device_peak" not in d["memory"]' out
    try sieve random:64x128 -o out.d --json --resume
    wants 0
    fits out
    json 'd["units"] == {"layers_sieved": 0, "pieces_copied": 0, "resumed": 1} and "seconds" not in d' out
    json 'd["size"]["layers"] == 1' out
}

@test "a checkpoint of several shards, with all that lies beside it" {
    "$PYTHON" "$MODELS" many source
    try sieve source -o out.d
    wants 0
    says "21 layers sieved, 6 pieces copied"
    says "I/O by"
    lacks SYNTHETIC out
    [ "$(ls -A out.d | tr '\n' ' ')" = "config.json generation_config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json tokenizer.json " ]
    cmp source/generation_config.json out.d/generation_config.json
    json 'd == {"model_type": "llama", "quantization_config":
        {"quant_method": "libortho", "density": 0.01, "rule": "outlier", "group": 128}}' out.d/config.json
    try inspect out.d
    wants 0
    says "model.layers.0.self_attn.counts"
    says "model.layers.2.mlp.down_proj.ortho.val"
    try sieve source -o out.d
    wants 2 "is there already: choose another folder, or --resume"
    try sieve source -o out.d --resume
    wants 0
    says "none: the artifact is complete"
}

@test "a config.json that can't be carried is refused before any work" {
    "$PYTHON" "$MODELS" many source
    echo '{"model_type": "llama",' >source/config.json
    try sieve source -o out.d
    wants 1 "source/config.json"
    grep -q "mend it, or move it away" err
    echo '{"quantization_config": {"quant_method": "gptq"}}' >source/config.json
    try sieve source -o out.d
    wants 1 "quantised already (gptq)"
    [ -z "$(ls -A out.d)" ]
    rm source/config.json
    try sieve source -o out.d
    wants 0
    [ ! -e out.d/config.json ]
    # An artifact isn't sieved again
    printf '{\n  "rms_norm_eps": 1e-05\n}\n' >source/config.json
    try sieve source -o part.d --layers 0 --rule legacy --density 0.05
    wants 0
    [ "$(head -c 25 part.d/config.json)" = "$(head -c 25 source/config.json)" ]
    json 'd["quantization_config"] == {"quant_method": "libortho", "density": 0.05, "rule": "legacy", "group": 0}' \
        part.d/config.json
    try sieve part.d -o again.d
    wants 1 "part.d/config.json: its quantization_config says that this checkpoint is sieved already"
}

@test "--measure tells the ceilings, and which part is the slowest" {
    "$PYTHON" "$MODELS" many source
    try sieve source -o out.d --measure
    wants 0
    grep -qE '^alone +reading .*/s, writing .*/s, (reading and writing at once .*/s, )?sieving .*/s$' out
    grep -qE '^floor +[0-9.]+ s, set by (reading|writing|reading and writing at once|sieving), the slowest part; the run ' out
    try sieve source -o out.json --measure --json
    fits out
    json 'set(d["ceilings"]["bytes_per_s"]) - {"both"} == {"read", "write", "sieve"}' out
}

@test "layers and projections: the others are copied" {
    "$PYTHON" "$MODELS" many source
    try sieve source -o out.d --layers 0,2 --proj q,down --density 2% --json
    wants 0
    fits out
    json 'd["units"]["layers_sieved"] == 4 and d["size"]["layers"] == 4' out
    json 'd["options"]["layers"] == [0, 2] and d["options"]["proj"] == ["q", "down"] and d["options"]["density"] == 0.02' out
    json 'd["size"]["weights"] == 2 * 192 * 192 + 192 * 385 + 192 * 511' out
    try inspect out.d
    says "model.layers.1.mlp.down_proj.weight"
    says "model.layers.0.mlp.down_proj.base.q"
    lacks "model.layers.1.mlp.down_proj.base.q" out
    try sieve source -o none.d --layers 7
    wants 2 "no linear layer among those chosen"
    [ ! -e none.d ]
}

@test "a GGUF file: its blocks are copied as F32" {
    try sieve smollm2-135m -o out.d --layers 0 --json
    [ "$code" -eq 0 ] || skip "no smollm2-135m here"
    fits out
    json 'd["model"]["four_bit"] is True and d["units"]["layers_sieved"] == 7' out
    try inspect --json out.d
    wants 0
    json '{t["dtype"] for t in d["tensors"]} <= {"F32", "F16", "U8", "U16", "I32"}' out
}

@test "without a model: the best at hand, said with the reason" {
    try list --models
    grep -qE '^(smollm2-135m) +at hand' out || skip "only made weights here: too large for a test"
    grep -qE '^(llama-3.2-3b) +at hand' out && skip "a model too large for a test is at hand"
    try sieve -o out.d --layers 0 --proj k
    wants 0 "smollm2-135m is the best model at hand"
    says "1 layer sieved"
}

@test "NaN: tensor, row and column are named, and that shard has no final name" {
    "$PYTHON" "$MODELS" nan source
    for engine in threads io_uring; do
        rm -rf out.d
        ORTHO_IO=$engine try sieve source -o out.d
        wants 1 "model.layers.1.mlp.up_proj.weight"
        wants 1 "row 5, column 7"
        [ ! -s out ]
        [ ! -e out.d/model-00002-of-00002.safetensors ]
        [ ! -e out.d/model.safetensors.index.json ]
    done
    try sieve source -o out.d --json
    wants 2 "--resume"
    try sieve source -o out.d --json --resume
    wants 1 "row 5, column 7"
    [ ! -s out ]
}

@test "a budget that is too small says which would do, and leaves nothing" {
    "$PYTHON" "$MODELS" many source
    try sieve source -o out.d --memory-budget 100K
    wants 2 "a memory budget of"
    enough=$(sed -n 's/.* \([0-9]*\) MiB would, .*/\1/p' err)
    [ ! -e out.d/.ortho-sieve ]
    try sieve source -o out.d --memory-budget "${enough}M"
    wants 0
}

@test "bad options are usage errors, and nothing is made" {
    try sieve random:8x8
    wants 2 "needs -o DIR"
    for option in --density=1.5 --density=-1 --density=x --density=0.01,0.02 --density=101% --rule=best \
        --group=48 --memory-budget=0 --memory-budget=-1 --memory-budget=12X --memory-budget=M \
        --memory-budget=1.5G --memory-budget=99999999999999999999 --memory-budget=17179869184G \
        --layers=x --layers=3-1 --proj=z --backend=tpu --threads=-1 --batch=1 --measure=yes; do
        try sieve random:8x8 -o out.d "$option"
        wants 2
        [ ! -s out ]
        [ ! -e out.d ]
    done
    try sieve random:8x8 random:8x8 -o out.d
    wants 2 "takes [MODEL]"
    try sieve random:8x8 -o ""
    wants 2 "an empty value"
    try sieve random:8x8 -o out.d --memory-budget 12X
    wants 2 "268435456, 256M and 1G are"
    try list --memory-budget 1G
    wants 2 "--memory-budget is an option of \`sieve\`"
}

@test "no such model, no GPU: exit 1 and why" {
    try sieve nothing-here -o out.d
    wants 1 nothing-here
    try sieve random:8x8 -o out.d --hessian nothing.safetensors
    wants 1 nothing.safetensors
    [ ! -e out.d ]
    try doctor --json
    if json 'd["machine"][0]["status"] == "ok"' out 2>/dev/null; then skip "there is a GPU here"; fi
    try sieve random:8x8 -o out.d --backend cuda
    wants 1
    [ ! -e out.d ]
    try sieve random:8x8 -o out.d --backend auto
    wants 0
    says "cpu, 1 slot"
}

@test "a density of 0 and of 1, a matrix of one weight" {
    for density in 0 1; do
        try sieve random:1x1 -o "out-$density" --density $density --json
        wants 0
        fits out
    done
    try sieve random:33x65 -o out.d --density 100%
    wants 0
}

@test "what the user reads without a terminal: no bar, nothing at all with --quiet" {
    "$PYTHON" "$MODELS" many source
    try sieve source -o a.d --quiet
    wants 0
    [ ! -s err ]
    try sieve source -o b.d
    lacks $'\r' err
    try sieve source -o c.d --verbose
    grep -q sieving err
}
