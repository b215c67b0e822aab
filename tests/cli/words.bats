# Help, errors and their suggestions, config and environment, the generated pages.

load common

@test "--help teaches: purpose, examples, options in groups, exit codes" {
    try --help
    wants 0
    [ ! -s err ]
    says "usage: ortho-bench [COMMAND] [options]"
    says "ortho-bench --variant csr"
    [ "$(grep -c '^  ortho-bench' out)" -ge 3 ]
    says "Results:"
    says "e.g. --layers 0-3,7"
    says "130  interrupted; what was measured is saved"
    lacks __man out
}

@test "each command has help of its own, both ways" {
    for command in run list inspect verify report annotate history sieve doctor help version; do
        try help $command
        wants 0
        says "usage: ortho-bench $command"
        cp out first
        try $command --help
        wants 0
        cmp out first
    done
}

@test "the version" {
    try --version
    wants 0
    grep -qE '^ortho-bench [0-9]+\.[0-9]+\.[0-9]+$' out
    cp out first
    try version
    wants 0
    cmp out first
}

@test "an unknown option is a usage error that suggests the nearest" {
    try --varaint csr
    wants 2 "unknown option --varaint: did you mean --variant?"
    [ ! -s out ]
    try list --modles
    wants 2 "did you mean --models?"
}

@test "an unknown command, in command position and after help" {
    try lsit
    wants 2 "no command 'lsit': did you mean 'list'?"
    try help reprot
    wants 2 "did you mean 'report'?"
    try ""
    wants 2 "no command ''"
}

@test "an unknown value names its source and the nearest word" {
    try --rule outlire
    wants 2 "--rule: 'outlire' is unknown: did you mean 'outlier'?"
    try --variant blockcsr
    wants 2 "did you mean 'block-csr'?"
    ORTHO_BENCH_BATCH=x try list
    wants 2 "ORTHO_BENCH_BATCH: 'x' is not a whole number"
    ORTHO_BENCH_BATSCH=1 try list
    wants 2 "did you mean ORTHO_BENCH_BATCH?"
    printf 'seed = 1\nbatsch = 2\n' >my.ini
    try list --config my.ini
    wants 2 "my.ini:2: unknown option 'batsch': did you mean 'batch'?"
    mkdir -p config/ortho-bench
    printf '\n\ndensity = 2\n' >config/ortho-bench/config.ini
    try list
    wants 2 "config/ortho-bench/config.ini:3: density: '2' is out of range"
}

@test "a usage error says where to read on" {
    try inspect
    wants 2 "\`ortho-bench help inspect\` tells more."
}

@test "colour: never into a file, always on demand, and --color beats NO_COLOR" {
    try inspect nothing-here
    wants 1
    lacks $'\033' err
    NO_COLOR=1 try inspect nothing-here --color always
    grep -q $'\033' err
}

@test "the manual page is one that man can show" {
    command -v scdoc && command -v man || skip "no scdoc or no man"
    "$BENCH" __man | scdoc >page.1
    LC_ALL=C MANWIDTH=300 man --warnings -l page.1 >text 2>warnings
    [ ! -s warnings ]
    grep -q -- '--case-timeout SECONDS' text
    grep -q 'EXIT STATUS' text
    grep -q 'ORTHO_BENCH_CASE_TIMEOUT=2' text
}

# complete_bash WORD...: what bash offers for the last word
complete_bash() {
    bash -c 'source ./script; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ortho_bench
             printf "%s\n" "${COMPREPLY[@]}"' - "$@"
}

@test "bash completes commands, options, words and lists" {
    "$BENCH" __completion bash >script
    [ "$(complete_bash ortho-bench ins)" = inspect ]
    [ "$(complete_bash ortho-bench --vari)" = --variant ]
    [ "$(complete_bash ortho-bench list --mo | sort | tr '\n' ' ')" = "--model --models " ]
    [ "$(complete_bash ortho-bench --rule out)" = outlier ]
    [ "$(complete_bash ortho-bench --rule = le)" = legacy ]
    [ "$(complete_bash ortho-bench run --variant csr,block)" = csr,block-csr ]
    [ -z "$(complete_bash ortho-bench inspect --batc)" ]
    [ "$(complete_bash ortho-bench --counters dram,diver)" = dram,divergence ]
    [ "$(complete_bash ortho-bench list --count)" = --counters ]
    [ -z "$(complete_bash ortho-bench list --counters dra)" ] # a flag there
}

@test "zsh and fish scripts are made, and parse where the shell is there" {
    for shell in zsh fish; do
        "$BENCH" __completion $shell >script
        grep -q 'block-csr' script
        if command -v $shell; then $shell -n script; fi
    done
    try __completion tcsh
    wants 2 "known: bash, zsh, fish"
}
