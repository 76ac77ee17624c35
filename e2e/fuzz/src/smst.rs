//! Proofs, and the trie against itself.

use portico_smst::{
    ClosestProof, CompactClosestProof, CompactProof, Leaf, LeafSet, Path, Plain, Proof, Rule, Spec,
    StrictError, Sum, SumTrie, root_of,
};

use crate::head;

/// Most leaves that one input makes.
const MAX_LEAVES: usize = 10;

/// A root of 48 bytes, a path of 32, then a gob stream: any of the four proofs, in both kinds of trie, by both rules.
pub fn proof(data: &[u8]) {
    let Some((root, rest)) = head::<48>(data) else {
        return;
    };
    let Some((asked, stream)) = head::<32>(rest) else {
        return;
    };
    let asked = Path::new(*asked);
    if let Ok(proof) = CompactClosestProof::from_gob(stream) {
        assert_eq!(CompactClosestProof::from_gob(&proof.to_gob()), Ok(proof.clone()));
        compact_closest::<Sum>(&proof, root, &asked);
        compact_closest::<Plain>(&proof, &root[..32], &asked);
    }
    if let Ok(proof) = ClosestProof::from_gob(stream) {
        assert_eq!(ClosestProof::from_gob(&proof.to_gob()), Ok(proof.clone()));
        closest::<Sum>(&proof, root, &asked);
        closest::<Plain>(&proof, &root[..32], &asked);
    }
    if let Ok(proof) = CompactProof::from_gob(stream) {
        drop(proof.verify::<Sum>(root, &asked, stream));
        drop(proof.expand::<Plain>());
    }
    if let Ok(proof) = Proof::from_gob(stream) {
        drop(proof.verify::<Sum>(root, &asked, stream));
        drop(proof.verify::<Plain>(&root[..32], &asked, stream));
    }
}

fn compact_closest<S: Spec>(proof: &CompactClosestProof, root: &[u8], asked: &Path)
where
    S::Digest: for<'a> TryFrom<&'a [u8]>,
{
    drop(proof.verify_network::<S>(root));
    if let Ok(expanded) = proof.expand::<S>() {
        closest::<S>(&expanded, root, asked);
    }
}

/// What the strict rule accepts, the network's does too.
fn closest<S: Spec>(proof: &ClosestProof, root: &[u8], asked: &Path)
where
    S::Digest: for<'a> TryFrom<&'a [u8]>,
{
    let Ok(root) = S::Digest::try_from(root) else {
        unreachable!("cut to length")
    };
    let network = proof.verify::<S>(Rule::Network, &root, asked);
    let strict = proof.verify::<S>(Rule::Strict, &root, asked);
    assert!(
        strict.is_err() || network.is_ok(),
        "strict accepts {proof:?}, the network does not"
    );
    drop(proof.value::<S>());
    let _ = proof.weight::<S>();
}

/// A path that is asked for, what to look at, then pairs of bytes that make paths close to each other: both holders of leaves agree on the
/// root, and on one thing more. One of those per input, so that there are many inputs a second.
pub fn trie(data: &[u8]) {
    let Some(([front, back, look], pairs)) = head::<3>(data) else {
        return;
    };
    let asked = path([*front, *back]);
    let (mut set, mut trie) = (LeafSet::new(3), SumTrie::default());
    for (seq, pair) in (0_u64..).zip(pairs.as_chunks::<2>().0.iter().take(MAX_LEAVES)) {
        let path = path(*pair);
        let fresh = set.insert(path, LeafSet::hash_leaf(&path, pair, 3), seq);
        assert_eq!(fresh, trie.get(&path).is_none());
        trie.insert(path, pair.as_slice(), 3);
    }
    let root = trie.root();
    assert_eq!(set.root(), root);
    match look % 4 {
        0 => assert_eq!(sorted_root(&trie), root),
        1 => closest_holds(&set, &trie, &asked),
        2 => closest_is_alike(&mut set, &trie, &asked),
        _ => {
            if let [pair, ..] = pairs.as_chunks::<2>().0 {
                assert!(trie.remove(&path(*pair)));
                assert_eq!(sorted_root(&trie), trie.root());
            }
        }
    }
}

fn sorted_root(trie: &SumTrie) -> <Sum as Spec>::Digest {
    root_of::<Sum>(trie.leaves().map(|leaf| (*leaf.path(), *leaf.digest())))
}

/// What is proved to be the closest holds by both rules.
fn closest_holds(set: &LeafSet, trie: &SumTrie, asked: &Path) {
    let proof = trie.prove_closest(asked).expect("the trie has its values");
    let root = trie.root();
    proof.verify::<Sum>(Rule::Network, &root, asked).expect("network");
    let strict = proof.verify::<Sum>(Rule::Strict, &root, asked);
    if set.len() == 0 {
        assert_eq!(strict, Err(StrictError::Empty.into()));
    } else {
        strict.expect("strict");
    }
}

/// Both holders find the same leaf, and prove it in the same bytes.
fn closest_is_alike(set: &mut LeafSet, trie: &SumTrie, asked: &Path) {
    let Some(found) = set.closest(asked) else {
        return assert_eq!(set.len(), 0);
    };
    assert_eq!(trie.closest(asked), Some(found.leaf.path));
    let value = |path: &Path| trie.get(path).and_then(Leaf::value).map(<[u8]>::to_vec);
    let lazily = set
        .prove_closest(asked, |leaf| value(&leaf.path))
        .expect("values are there");
    assert_eq!(Some(lazily), trie.prove_closest(asked).ok());
}

/// The first byte at the front, the second at the end or, when it is odd, in the middle: long common prefixes.
fn path([front, back]: [u8; 2]) -> Path {
    let mut bytes = [0; 32];
    bytes[0] = front;
    bytes[if back & 1 == 1 { 16 } else { 31 }] = back;
    Path::new(bytes)
}
