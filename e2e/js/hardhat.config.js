// The EVM nodes behind the servicer: an in-memory chain each, blocks on demand, and one first block for all of them.
module.exports = { networks: { hardhat: { chainId: 31337, initialDate: "2026-01-01T00:00:00Z" } } };
