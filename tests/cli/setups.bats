# setups.bats - the table that tools/bench/setups prints.

load cli.bash

setup() {
    use_folder
    table=$SOURCE/tools/bench/setups_table.py
    echo kind,age,task,model,window_start,sums_w,sums_l,examples,positives >drift.csv
}

# Records of two models, four windows of one task; of these the last two count.
record() { # MODEL WINDOW W L EXAMPLES
    echo "holdout,0,click,$1,2024-05-0$2T00:00:00Z,$3,$4,$5,4" >>drift.csv
}

@test "the difference is paired by windows, with the interval of a ratio of sums" {
    for model in a b; do
        record "$model" 1 10 9 10
        record "$model" 2 10 9 10
    done
    record a 3 10 1 10
    record a 4 30 6 30
    record b 3 10 2 10
    record b 4 30 6 30
    echo holdout,1,click,b,2024-05-04T00:00:00Z,30,99,30,4 >>drift.csv
    echo progressive,,click,b,2024-05-04T00:00:00Z,30,99,30,4 >>drift.csv
    run python3 "$table" a,b drift.csv
    [ "$status" -eq 0 ]
    mentions "**Click**: 2 windows, 40 examples, 8 positives."
    # d = (8 - 7) / 40 = 0.025 of 0.175. Residuals 0.75 and -0.75: error sqrt(2 * 1.125) / 40.
    says_line '| `a` | 0.17500 | | | |'
    says_line '| `b` | 0.20000 | +14.29 % | -27.71 to +56.29 % | +14.29 |'
}

@test "windows of other examples are not compared" {
    for window in 1 2 3 4; do
        record a $window 10 1 10
        record b $window 10 1 11
    done
    run python3 "$table" a,b drift.csv
    [ "$status" -eq 1 ]
    mentions "two models have different examples"
}
