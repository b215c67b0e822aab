# annotate without a GPU: it says what it lacks, and how that is told apart from a wrong request.

load common

export CUDA_VISIBLE_DEVICES=none # the same on a machine with a GPU

@test "annotate without a GPU is skipped, with one line that says why and where to read on" {
    for how in "" --json "--report lines"; do
        # shellcheck disable=SC2086
        ORTHO_BENCH_BACKEND=auto try annotate --variant csr --model random:64x64 $how
        wants 77 "annotate counts a GPU's instructions (\`ortho-bench doctor\` tells"
        [ ! -s out ]
        [ "$(wc -l <err)" -eq 1 ]
        [ ! -e lines ]
    done
    ORTHO_BENCH_BACKEND=auto try annotate --variant csr --model random:64x64 --backend cuda
    wants 77 "--backend cuda: "
}

@test "annotate on the CPU's backend says which one it takes" {
    try annotate --variant csr --model random:64x64
    wants 77 "the backend is cpu: --backend cuda"
    [ ! -s out ]
}

@test "annotate wants to be told whose source" {
    try annotate
    wants 2 "--variant NAME"
    try annotate --variant all
    wants 2 "--variant NAME"
    try annotate --variant blockcsr
    wants 2 "did you mean 'block-csr'?"
}

@test "annotate takes what chooses cases, a folder and --json, and nothing of a run's output" {
    try help annotate
    wants 0
    says "--density LIST"
    says "--case KEY"
    says "--report DIR"
    says "--json"
    lacks "--out FILE" out
    lacks "--trace" out
    try annotate --variant csr --out x.json
    wants 2 "--out is an option of \`run\`, not of \`annotate\`"
}
