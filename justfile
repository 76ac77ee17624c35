# The words people type are the ones CI runs.

# list the words
default:
    @just --list

# format, lints, documentation
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# licences and sources of dependencies (needs cargo-deny)
deny:
    cargo deny --config .deny.toml check licenses bans sources

# unit, property and vector tests
test:
    cargo test --workspace

# a plain model of staking and settlement beside the state machine, over random blocks: `just oracle 10000`
oracle SEQUENCES="10000":
    PORTICO_ORACLE_SEQUENCES={{SEQUENCES}} cargo test --release -p portico-chain --test oracle -- --nocapture

# networks as tests: real processes, a real EVM node and a real client library (needs Node)
e2e:
    bash e2e/run

# hostile clients by the thousand against real processes: memory of each, and what normal calls notice (minutes)
abuse:
    cargo run --release -p portico-e2e --bin abuse -- run

# random cases that the network's Go libraries check, and theirs that we check (needs Go 1.26): `just second-opinion [SEED] [UNITS]`
second-opinion *ARGS:
    bash e2e/second-opinion {{ARGS}}

# what the protocol core costs here, against its budget
bench:
    bash e2e/bench

# what it costs here, against the network's Go libraries on the same work (needs Go 1.26)
bench-vs-go:
    bash e2e/bench --versus-go

# instructions of the hot paths, against the accepted ones (needs valgrind): `just count`, `just count --accept`
count *ARGS:
    bash e2e/count {{ARGS}}

# a whole network with real settlement, in one process
localnet *ARGS:
    cargo run --release -- localnet {{ARGS}}

# what a relay costs beside a plain proxy's request: `just bench-relay --suppliers 50`, `just bench-relay --versus PATH`
bench-relay *ARGS:
    cargo run --release -- bench relay {{ARGS}}

# the binary for servers, in target/dist: slower to build, less CPU per relay
dist:
    cargo build --profile dist -p portico-cli --features mimalloc

# coverage-guided fuzzing of what reads bytes of the network: `just fuzz all 100000`, `just fuzz ring`
fuzz TARGET *ARGS:
    bash e2e/fuzz/run {{TARGET}} {{ARGS}}

# what the chain's store costs with KEYS keys: commits, growth, restarts, proofs, snapshots; and blocks of 1,000 transfers, and searches
bench-store KEYS="1000000":
    cargo run --release -p portico-store --example bench -- {{KEYS}}
    cargo test --release -p portico-node --lib -- --ignored --nocapture blocks_of_a_thousand_transfers searches_among_twenty_thousand_transfers

# commit, failure, recovery, rollback and replay, explained
demo-rollback:
    cargo run -q -p portico-node --example demo_rollback

# 500 kills and 1000 power cuts of a store under load (KILLS=50 takes a tenth)
kills KILLS="500":
    PORTICO_KILLS={{KILLS}} nice -n 10 cargo test -p portico-store --lib -- kills --nocapture

# what CI runs
ci:
    bash .ci/run
