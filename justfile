# The words people type are the ones CI runs.

# list the words
default:
    @just --list

# format, lints, documentation
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# spelling, shell scripts, licences and versions of dependencies: what `.ci/run lint` has beside format and clippy
house-rules:
    bash .ci/run house_rules

# the pages of docs/ as a reader follows them
docs:
    cargo build --release
    python3 docs/check.py target/release/portico

# everything in deploy/ with the release binary: units, compose files, action, npm package, archive, image, dashboards and alerts
check-deploy *PARTS:
    cargo build --release
    PATH="$PWD/target/ci-tools/bin:$PATH" deploy/check target/release/portico {{PARTS}}

# a release's archive in target/release-archives, with sums: `just release --target aarch64-unknown-linux-musl`
release *ARGS:
    deploy/release/build {{ARGS}}

# the container image, from the binary of `just release` unless another one is named
image BINARY="target/x86_64-unknown-linux-musl/dist/portico":
    deploy/container/build {{BINARY}}

# unit, property and vector tests
test:
    cargo test --workspace

# a plain model of staking and settlement beside the state machine, over random blocks: `just oracle 10000`
oracle SEQUENCES="10000":
    PORTICO_ORACLE_SEQUENCES={{SEQUENCES}} cargo test --release -p portico-chain --test oracle -- --nocapture

# networks as tests: real processes, a real EVM node and a real client library (needs Node)
e2e:
    bash e2e/run

# every transport under every condition beside `e2e/matrix.md`: `just matrix`, `just matrix gRPC "session rollover"`, `just matrix --accept`
matrix *CELLS:
    cargo test --workspace --test matrix -- {{CELLS}}

# hostile clients by the thousand against real processes: memory of each, and what normal calls notice (minutes)
abuse:
    cargo run --release -p portico-e2e --bin abuse -- run

# random cases that the network's Go libraries check, and theirs that we check (needs Go 1.26): `just second-opinion [SEED] [UNITS]`
second-opinion *ARGS:
    bash e2e/second-opinion {{ARGS}}

# the light client, compiled to WebAssembly
wasm:
    rustup target add wasm32-unknown-unknown
    cargo check -p portico-light --target wasm32-unknown-unknown

# the chain with Go tools: CometBFT's light client and proxy, the SDK's client packages (needs Go 1.26; minutes the first time)
go-tools:
    cargo build --release
    e2e/go-light/run target/release/portico
    e2e/go-chain/run target/release/portico
    e2e/js/four target/release/portico

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

# the chain's figures that have a goal: reads at a pipeline's end, near-empty blocks replayed, blocks of 1,000 transfers, 4,000 keys changed in KEYS
chain-figures KEYS="1000000":
    cargo test --release -p portico-node --lib -- --ignored --nocapture --test-threads 1 figures blocks_of_a_thousand_transfers
    cargo run --release -p portico-store --example bench -- {{KEYS}}

# commit, failure, recovery, rollback and replay, explained
demo-rollback:
    cargo run -q -p portico-node --example demo_rollback

# the servicer's process killed KILLS times at random moments under load, over many sessions with their settlement (minutes)
kills-servicer KILLS="100":
    cargo run --release -p portico-e2e --bin kills -- {{KILLS}}

# 500 kills and 1000 power cuts of a store under load (KILLS=50 takes a tenth)
kills KILLS="500":
    PORTICO_KILLS={{KILLS}} nice -n 10 cargo test -p portico-store --lib -- kills --nocapture

# the long runs, one after the other (hours), with a table of what came of them at the end: hostile clients at full size, kills, oracle, fuzzing,
# second opinion, benches, Helm chart; `just nightly servicer-kills oracle` for some of them, `just nightly --list` for their names
nightly *ARGS:
    e2e/nightly {{ARGS}}

# what CI runs
ci:
    bash .ci/run
