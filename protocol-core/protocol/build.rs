//! Compiles the protocol's message definitions without a system `protoc`.

use std::path::Path;

use prost::Message as _;

/// The definitions, relative to `proto/`; services in them are compiled by the client crate.
const FILES: &[&str] = &[
    "cosmos/auth/auth.proto",
    "cosmos/authz/authz.proto",
    "cosmos/bank/bank.proto",
    "cosmos/base/abci.proto",
    "cosmos/base/coin.proto",
    "cosmos/base/node.proto",
    "cosmos/base/pagination.proto",
    "cosmos/base/tendermint.proto",
    "cosmos/circuit/circuit.proto",
    "cosmos/consensus/consensus.proto",
    "cosmos/crypto/ed25519.proto",
    "cosmos/crypto/multisig.proto",
    "cosmos/crypto/multisignature.proto",
    "cosmos/crypto/secp256k1.proto",
    "cosmos/distribution/distribution.proto",
    "cosmos/evidence/evidence.proto",
    "cosmos/feegrant/feegrant.proto",
    "cosmos/gov/v1.proto",
    "cosmos/gov/v1beta1.proto",
    "cosmos/mint/mint.proto",
    "cosmos/params/params.proto",
    "cosmos/slashing/slashing.proto",
    "cosmos/staking/staking.proto",
    "cosmos/tendermint/abci.proto",
    "cosmos/tendermint/crypto.proto",
    "cosmos/tendermint/p2p.proto",
    "cosmos/tendermint/types.proto",
    "cosmos/tendermint/version.proto",
    "cosmos/tx/service.proto",
    "cosmos/tx/signing.proto",
    "cosmos/tx/tx.proto",
    "cosmos/upgrade/upgrade.proto",
    "pocket/application/application.proto",
    "pocket/gateway/gateway.proto",
    "pocket/migration/migration.proto",
    "pocket/proof/proof.proto",
    "pocket/service/relay.proto",
    "pocket/service/service.proto",
    "pocket/session/session.proto",
    "pocket/shared/shared.proto",
    "pocket/supplier/supplier.proto",
    "pocket/tokenomics/tokenomics.proto",
    "portico/feature/feature.proto",
    "portico/validator/validator.proto",
    "sdk/http.proto",
];

/// Fields whose bytes are kept as shared slices: they can be large and are passed on unchanged.
const SHARED_BYTES: &[&str] = &[
    ".pocket.service.RelayRequest.payload",
    ".pocket.service.RelayResponse.payload",
    ".sdk.types.POKTHTTPRequest.body_bz",
    ".sdk.types.POKTHTTPResponse.body_bz",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, [Path::new("proto")])?;
    let mut bare = descriptors.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    let out = std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    std::fs::write(Path::new(&out).join("wire.bin"), bare.encode_to_vec())?;
    prost_build::Config::new()
        .btree_map(["."])
        .bytes(SHARED_BYTES)
        .enable_type_names()
        .type_name_domain(["."], "")
        .include_file("wire.rs")
        .compile_fds(descriptors)?;
    Ok(())
}
