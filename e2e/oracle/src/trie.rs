//! Tries: both sides build them of the same leaves, and read each other's proofs.

use anyhow::{Context, Result, ensure};
use portico_smst::{
    ClosestProof, CompactClosestProof, CompactProof, Leaf, Path, Plain, Proof, ProofError, Rule, Spec,
    StrictError, Sum, Trie, root_of, sum_leaf_data,
};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngExt};

use crate::case::{ClosestCase, Hex, LeafCase, MembershipCase, TrieCase};

/// Leaves of most tries; each 16th has up to [`MANY_LEAVES`].
const FEW_LEAVES: usize = 24;
const MANY_LEAVES: usize = 600;
/// Proofs of each sort per trie.
const PROOFS: usize = 4;

/// The two kinds of trie, as the cases need them.
pub trait Kind: Spec {
    /// What the JSON calls it.
    const SUM: bool;
    /// A leaf as it is set.
    fn make_leaf(path: Path, value: &[u8], weight: u64) -> Leaf<Self>;
    /// What a membership proof is verified with; empty for absence.
    fn data(value: &[u8], weight: u64) -> Vec<u8>;
}

impl Kind for Sum {
    const SUM: bool = true;
    fn make_leaf(path: Path, value: &[u8], weight: u64) -> Leaf<Self> {
        Leaf::<Self>::new(path, value, weight)
    }
    fn data(value: &[u8], weight: u64) -> Vec<u8> {
        if value.is_empty() && weight == 0 {
            return Vec::new();
        }
        sum_leaf_data(value, weight)
    }
}

impl Kind for Plain {
    const SUM: bool = false;
    fn make_leaf(path: Path, value: &[u8], _weight: u64) -> Leaf<Self> {
        Leaf::<Self>::new(path, value)
    }
    fn data(value: &[u8], _weight: u64) -> Vec<u8> {
        value.to_vec()
    }
}

/// A random trie with proofs.
pub fn make<S: Kind>(rng: &mut StdRng) -> Result<TrieCase> {
    let leaves = leaves::<S>(rng);
    let keys: Vec<Hex> = leaves.iter().map(|leaf| leaf.key.clone()).collect();
    let removes = rng.random_ratio(1, 3);
    let mut removed = keys.clone();
    removed.retain(|_| removes && rng.random_ratio(1, 6));
    removed.sort_by(|a, b| a.0.cmp(&b.0));
    removed.dedup();
    removed.shuffle(rng);
    let trie = build::<S>(&leaves, &removed);
    let mut proofs = Vec::new();
    for _ in 0..PROOFS {
        let absent = Hex(bytes(rng, 20));
        for key in [keys.choose(rng), Some(&absent)].into_iter().flatten() {
            proofs.push(prove(&trie, &leaves, key)?);
        }
    }
    let mut closest = Vec::new();
    // Nothing is ever removed from a session's trie; closest proofs are asked of such.
    let closest_proofs = if removed.is_empty() { PROOFS } else { 0 };
    for _ in 0..closest_proofs {
        let path = asked(rng, &keys);
        let proof = trie.prove_closest(&path)?;
        closest.push(ClosestCase {
            path: path.as_ref().into(),
            proof: Hex(proof.to_gob()),
            compact: Hex(proof.compact::<S>()?.to_gob()),
        });
    }
    Ok(TrieCase {
        sum: S::SUM,
        root: trie.root().as_ref().into(),
        leaves,
        removed,
        proofs,
        closest,
    })
}

fn leaves<S: Kind>(rng: &mut StdRng) -> Vec<LeafCase> {
    let most = if rng.random_ratio(1, 16) {
        MANY_LEAVES
    } else {
        FEW_LEAVES
    };
    let count = rng.random_range(0..=most);
    let mut leaves: Vec<LeafCase> = Vec::with_capacity(count);
    for _ in 0..count {
        // Each tenth sets a key again.
        let again = leaves
            .choose(rng)
            .filter(|_| rng.random_ratio(1, 10))
            .map(|leaf| leaf.key.clone());
        leaves.push(LeafCase {
            key: again.unwrap_or_else(|| {
                let len = rng.random_range(1..40);
                Hex(bytes(rng, len))
            }),
            value: {
                let len = rng.random_range(1..80);
                Hex(bytes(rng, len))
            },
            // Small ones as on chain, and ones that make sums wrap.
            weight: match (S::SUM, rng.random_ratio(1, 4)) {
                (false, _) => 0,
                (true, false) => rng.random_range(0..5000),
                (true, true) => rng.next_u64(),
            },
        });
    }
    leaves
}

/// A path anywhere, or one that shares some bits with a leaf's.
fn asked(rng: &mut StdRng, keys: &[Hex]) -> Path {
    let mut path = [0; 32];
    rng.fill_bytes(&mut path);
    let Some(near) = keys.choose(rng).filter(|_| rng.random()) else {
        return Path::new(path);
    };
    let whole = rng.random_range(0..=4);
    path[..whole].copy_from_slice(&Path::of_key(&near.0).as_bytes()[..whole]);
    Path::new(path)
}

fn bytes(rng: &mut StdRng, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn build<S: Kind>(leaves: &[LeafCase], removed: &[Hex]) -> Trie<S> {
    let mut trie = Trie::<S>::new();
    for leaf in leaves {
        trie.insert_leaf(S::make_leaf(
            Path::of_key(&leaf.key.0),
            &leaf.value.0,
            leaf.weight,
        ));
    }
    for key in removed {
        trie.remove(&Path::of_key(&key.0));
    }
    trie
}

fn prove<S: Kind>(trie: &Trie<S>, leaves: &[LeafCase], key: &Hex) -> Result<MembershipCase> {
    let path = Path::of_key(&key.0);
    let proof = trie.prove(&path)?;
    let last = leaves.iter().rev().find(|leaf| leaf.key == *key);
    let present = last.filter(|_| trie.get(&path).is_some());
    Ok(MembershipCase {
        key: key.clone(),
        value: present.map_or(Hex(Vec::new()), |leaf| leaf.value.clone()),
        weight: present.map_or(0, |leaf| leaf.weight),
        proof: Hex(proof.to_gob()),
        compact: Hex(proof.compact::<S>()?.to_gob()),
    })
}

/// Holds a trie that Go made against ours; returns how many verdicts agreed.
pub fn check(case: &TrieCase) -> Result<usize> {
    if case.sum {
        check_kind::<Sum>(case)
    } else {
        check_kind::<Plain>(case)
    }
}

fn check_kind<S: Kind>(case: &TrieCase) -> Result<usize> {
    let trie = build::<S>(&case.leaves, &case.removed);
    let root = trie.root();
    ensure!(root.as_ref() == case.root.0, "root {root}");
    let sorted = root_of::<S>(trie.leaves().map(|leaf| (*leaf.path(), *leaf.digest())));
    ensure!(sorted == root, "root_of gives {sorted}");
    for proof in &case.proofs {
        check_membership::<S>(&trie, proof).with_context(|| format!("proof for key {:?}", proof.key))?;
    }
    for closest in &case.closest {
        check_closest::<S>(&trie, closest).with_context(|| format!("proof closest to {:?}", closest.path))?;
    }
    Ok(1 + case.proofs.len() + case.closest.len())
}

fn check_membership<S: Kind>(trie: &Trie<S>, case: &MembershipCase) -> Result<()> {
    let path = Path::of_key(&case.key.0);
    let (root, data) = (trie.root(), S::data(&case.value.0, case.weight));
    let proof = Proof::from_gob(&case.proof.0)?;
    proof.verify::<S>(root.as_ref(), &path, &data)?;
    let other = S::data(b"another", case.weight);
    ensure!(
        proof.verify::<S>(root.as_ref(), &path, &other).is_err(),
        "it proves another value"
    );
    let compact = CompactProof::from_gob(&case.compact.0)?;
    compact.verify::<S>(root.as_ref(), &path, &data)?;
    let ours = trie.prove(&path)?;
    ensure!(shape(&proof) == shape(&ours), "ours is {ours:?}");
    ensure!(
        shape(&compact.expand::<S>()?) == shape(&ours),
        "the compact one differs from {ours:?}"
    );
    Ok(())
}

fn check_closest<S: Kind>(trie: &Trie<S>, case: &ClosestCase) -> Result<()> {
    let asked = Path::new(case.path.0.as_slice().try_into().context("a path has 32 bytes")?);
    let root = trie.root();
    let proof = ClosestProof::from_gob(&case.proof.0)?;
    proof.verify::<S>(Rule::Network, &root, &asked)?;
    let compact = CompactClosestProof::from_gob(&case.compact.0)?;
    compact.verify::<S>(Rule::Network, &root, &asked)?;
    let ours = trie.prove_closest(&asked)?;
    for theirs in [&proof, &compact.expand::<S>()?] {
        ensure!(closest_shape(theirs) == closest_shape(&ours), "ours is {ours:?}");
    }
    match proof.verify::<S>(Rule::Strict, &root, &asked) {
        Ok(()) => {}
        // The strict rule has no proofs of nothing, nor of sums that wrap.
        Err(ProofError::Strict(StrictError::Empty)) if trie.is_empty() => {}
        Err(ProofError::Strict(StrictError::Overflow)) if wraps(trie) => {}
        Err(refusal) => return Err(refusal.into()),
    }
    // The bytes on chain are the same to the last one where the siblings are.
    if same_sibling(&proof, &ours) {
        ensure!(
            case.compact.0 == ours.compact::<S>()?.to_gob(),
            "other gob bytes than ours"
        );
    }
    Ok(())
}

/// A proof but for the encoding of the sibling: in Go it may tell of the trie's past, and the verifier has hashed it against the first
/// side node.
fn shape(proof: &Proof) -> Proof {
    Proof {
        sibling_data: proof.sibling_data.as_ref().map(|_| Vec::new()),
        ..proof.clone()
    }
}

fn closest_shape(proof: &ClosestProof) -> ClosestProof {
    ClosestProof {
        closest_proof: proof.closest_proof.as_ref().map(shape),
        ..proof.clone()
    }
}

fn wraps<S: Kind>(trie: &Trie<S>) -> bool {
    let weights = trie
        .leaves()
        .map(|leaf| S::totals(leaf.digest()).map_or(0, |(weight, _)| u128::from(weight)));
    weights.sum::<u128>() > u128::from(u64::MAX)
}

fn same_sibling(a: &ClosestProof, b: &ClosestProof) -> bool {
    let sibling = |proof: &ClosestProof| {
        proof
            .closest_proof
            .as_ref()
            .map(|proof| proof.sibling_data.clone())
    };
    sibling(a) == sibling(b)
}
