# Where it runs: --backend auto says in one line what it took and why, --backend cuda without a GPU is
# a skip that says why, and a plug-in for the other backend is a usage error. All of it holds on
# machines with a GPU and without.

load common

small=(--model random:48x64 --op gemm --case-timeout 0.2 --min-time 0.005 --ci-target 1 --l2 warm)

has_gpu() {
    "$BENCH" verify --backend cuda --variant csr "${small[@]}" >/dev/null 2>&1
    [ $? -ne 77 ]
}

# one_line TEXT: stderr has exactly one line with it
one_line() {
    [ "$(grep -cF -- "$1" err)" -eq 1 ] || { echo "not once: $1" && cat err && return 1; }
}


@test "--backend cuda without a GPU: exit 77, one line, nothing on stdout, no file" {
    unset ORTHO_BENCH_BACKEND
    if has_gpu; then skip "there is a GPU here"; fi
    for command in "run --out r.json" verify; do
        try $command --backend cuda --variant csr "${small[@]}"
        wants 77 "--backend cuda: "
        [ "$(wc -l <err)" -eq 1 ]
        [ ! -s out ]
        [ "$(ls)" = "$(printf 'err\nout')" ]
    done
    # a build with CUDA names the driver's absence, one without its own
    grep -qE 'no NVIDIA driver or GPU here|this build has no cuda variants|GPU can.t be used' err
    try run --backend cuda --variant csr "${small[@]}" --out r.json --quiet
    wants 77 "--backend cuda: "
}

@test "--backend auto says in one line what it runs on" {
    unset ORTHO_BENCH_BACKEND
    try verify --backend auto --variant csr "${small[@]}"
    wants 0
    one_line "backend "
    if has_gpu; then
        one_line "backend cuda"
        grep -q '^ok .* gemm/csr/cuda/' out
    else
        one_line "backend cpu: "
        grep -q '^ok .* gemm/csr/cpu/' out
    fi
}

@test "--backend cpu is silent about it" {
    try verify --backend cpu --variant csr "${small[@]}" --quiet
    wants 0
    [ ! -s err ]
}

@test "a plug-in for the CPU can't take part in a run on the GPU, nor the other way round" {
    cpu=${ORTHO_BAD:?folder of the bad plug-ins}/bad_gemm_not.so
    cuda=$ORTHO_BAD/bad_cuda_gemm_not.so
    try verify --backend cpu --plugin "$cpu" --variant bad "${small[@]}"
    wants 0
    [ -e "$cuda" ] || skip "built without CUDA"
    try verify --backend cpu --plugin "$cuda" --variant bad "${small[@]}"
    wants 2 "variant 'bad' is for cuda, this run is on cpu"
    [ ! -s out ]
    if has_gpu; then
        try verify --backend cuda --plugin "$cpu" --variant bad "${small[@]}"
        wants 2 "variant 'bad' is for cpu, this run is on cuda"
        try verify --backend cuda --plugin "$cuda" --variant bad "${small[@]}" --dtype fp32
        wants 0
    else
        try verify --backend cuda --plugin "$cuda" --variant bad "${small[@]}"
        wants 77 "--backend cuda: "
        # auto falls back to the CPU, which that plug-in isn't for
        ORTHO_BENCH_BACKEND=auto try verify --plugin "$cuda" --variant bad "${small[@]}"
        wants 2 "this run is on cpu"
    fi
}

@test "list names both backends where the build has both" {
    try list
    wants 0
    [ -e "$ORTHO_BAD/bad_cuda_gemm_not.so" ] || skip "built without CUDA"
    grep -qE '^csr +cuda +competitor' out
}
