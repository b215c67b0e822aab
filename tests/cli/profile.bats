# run --profile: every check of a run, each case launched once for a profiler, and no results.

load common

small=(--model random:96x80 --threads 1 --op gemm --variant csr --backend cpu)

@test "--profile prints verdicts and leaves no file behind" {
    mkdir work
    code=0
    (cd work && exec "$BENCH" run --profile "${small[@]}") >out 2>err </dev/null || code=$?
    wants 0
    grep -q '^ok       pass .* gemm/csr/cpu/L0.w/m1/d0.01/outlier/g128/fp32/cold$' out
    grep -q '^ok       n/a .* gemm/null/cpu/' out
    [ -z "$(find work -type f)" ]
}

@test "--profile on the CPU offers no ncu command, and says why" {
    try run --profile "${small[@]}"
    wants 0
    says "nothing here for nsys or ncu: no case passed on a GPU"
    lacks "ncu --clock-control" out
}
