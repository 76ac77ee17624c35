// The EVM node behind the servicer: one in-memory chain, blocks on demand.
module.exports = { networks: { hardhat: { chainId: 31337 } } };
