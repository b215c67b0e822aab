# inspect: a good file is listed, a bad one is refused with the reason and nothing on stdout.

load common

@test "a safetensors file, as JSON and as text" {
    safetensors a.safetensors '{"b":{"dtype":"F16","shape":[2,3],"data_offsets":[16,28]},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}' 28
    try inspect --json a.safetensors
    wants 0
    [ ! -s err ]
    json 'list(d) == ["tensors"] and len(d["tensors"]) == 2' out
    json 'all(list(t) == ["name", "dtype", "shape", "bytes", "range"] for t in d["tensors"])' out
    json '{t["name"]: (t["dtype"], t["shape"], t["bytes"]) for t in d["tensors"]} == {"a": ("F32", [4], 16), "b": ("F16", [2, 3], 12)}' out
    json 'all(t["range"][1] - t["range"][0] == t["bytes"] for t in d["tensors"])' out
    # ranges are the file's own bytes
    json "max(t['range'][1] for t in d['tensors']) == $(stat -c %s a.safetensors)" out
    try inspect a.safetensors
    wants 0
    says "format       safetensors"
    says "F16      2x3"
    grep -qE '^hash +[0-9a-f]{32}' out
}

@test "generated weights have no byte range" {
    try inspect --json random:8x4
    wants 0
    json 'd["tensors"][0]["shape"] == [8, 4] and "range" not in d["tensors"][0]' out
    try inspect random:8x4
    says "made, not trained"
    grep -qE '^slices +1 linear' out
}

@test "bad files: exit 1, the reason, an empty stdout" {
    safetensors hole.safetensors '{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}' 8
    safetensors short.safetensors '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}' 8
    safetensors size.safetensors '{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,16]}}' 16
    printf 'GGUF\003' >cut.gguf
    : >empty.safetensors
    printf 'hello' >notes.txt
    for file in hole.safetensors short.safetensors size.safetensors cut.gguf empty.safetensors \
        notes.txt missing.gguf; do
        for json in "" --json; do
            try inspect $file $json
            wants 1 $file
            [ ! -s out ]
        done
    done
}

@test "control bytes in a name don't reach the terminal" {
    safetensors a.safetensors '{"x\u001b[31my":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' 4
    try inspect a.safetensors
    lacks $'\033' out
    lacks $'\033' err
    if [ "$code" -eq 0 ]; then
        says 'x\x1b[31my'
    fi
}
