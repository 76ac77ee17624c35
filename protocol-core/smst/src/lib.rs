//! Sparse Merkle trie and sum trie: roots, proofs, closest proofs. No I/O.
