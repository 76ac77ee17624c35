//! `sequences`: operations, and the roots and stored nodes that follow.

use std::collections::BTreeSet;

use portico_smst::{LeafSet, NodeKind, Trie, root_of};

use super::file::{Op, Sequence, Step};
use super::kind::{Kind, expanded, path_of};

/// The trie after the last step.
pub(crate) fn build<K: Kind>(sequence: &Sequence) -> Trie<K> {
    let mut trie = Trie::new();
    sequence
        .steps
        .iter()
        .for_each(|step| apply(&mut trie, sequence, step));
    trie
}

pub(crate) fn check<K: Kind>(sequence: &Sequence) {
    assert_eq!(sequence.spec.sum_trie, K::SUM);
    let mut trie = Trie::<K>::new();
    let mut versions = Vec::new();
    assert_eq!(trie.root().as_ref(), sequence.initial_root.0);
    for (index, step) in sequence.steps.iter().enumerate() {
        apply(&mut trie, sequence, step);
        if let Some(root) = &step.root {
            assert_eq!(trie.root().as_ref(), root.0, "step {index}");
            versions.push((trie.clone(), trie.root()));
        }
        if let Some(sum) = step.sum {
            assert_eq!(K::totals(&trie.root()).unwrap().0, sum.0, "step {index}");
        }
        if let Some(count) = step.count {
            assert_eq!(K::totals(&trie.root()).unwrap().1, count.0, "step {index}");
            assert_eq!(trie.len() as u64, count.0, "step {index}");
        }
    }
    assert_eq!(trie.root().as_ref(), sequence.final_root.0);
    for (version, root) in versions {
        let leaves: Vec<_> = version.leaves().cloned().collect();
        assert_eq!(
            leaves.into_iter().rev().collect::<Trie<K>>().root(),
            root,
            "an older version changed"
        );
    }
    let leaves: Vec<_> = trie.leaves().map(|leaf| (*leaf.path(), *leaf.digest())).collect();
    assert_eq!(root_of::<K>(leaves.into_iter().rev()), trie.root());
    check_leaf_set(&trie);
    check_nodes(&trie, sequence);
}

fn apply<K: Kind>(trie: &mut Trie<K>, sequence: &Sequence, step: &Step) {
    let path = || sequence.spec.path(&step.key.as_ref().unwrap().0);
    let refused = step.error.is_some() || step.panic.is_some();
    match step.op {
        // What Go does not take cannot be said to ours: a path has 32 bytes, and any value is one.
        Op::Update if refused => {}
        Op::Update => {
            let value = sequence.spec.value(&step.value.as_ref().unwrap().0);
            let leaf = K::new_leaf(path(), &value, step.weight.map_or(0, |weight| weight.0));
            assert_eq!(trie.get(&path()).is_none(), trie.insert_leaf(leaf.clone()));
            assert_eq!(trie.get(&path()), Some(&leaf));
        }
        Op::Delete => {
            let removed = trie.remove(&path());
            assert_eq!(removed, !refused, "{:?} {:?}", step.error, step.panic);
            assert_eq!(trie.get(&path()), None);
        }
        Op::Commit | Op::CommitReimport => assert!(!refused),
    }
}

/// A [`LeafSet`] of the same leaves has the same root, when all have the same weight.
fn check_leaf_set<K: Kind>(trie: &Trie<K>) {
    let weights: BTreeSet<_> = trie.leaves().map(|leaf| K::totals(leaf.digest())).collect();
    let Some(Some((weight, _))) = weights.first().copied().filter(|_| weights.len() == 1) else {
        return;
    };
    let mut set = LeafSet::new(weight);
    for leaf in trie.leaves() {
        let hash = leaf.digest().as_ref()[..32].try_into().unwrap();
        assert!(set.insert(*leaf.path(), hash, 0));
    }
    assert_eq!(set.root().as_ref(), trie.root().as_ref());
}

/// Our stored nodes are those of the library.
///
/// Two things in Go's form of them tell of history, and not of the leaves: an extension's path bits outside its
/// bounds, and after certain deletions inner nodes with one child in place of (a part of) an extension.
fn check_nodes<K: Kind>(trie: &Trie<K>, sequence: &Sequence) {
    let Some(theirs) = &sequence.nodes_after_commit else {
        return;
    };
    let mut ours = Vec::new();
    trie.visit_nodes(|digest, kind, bytes| ours.push((digest.as_ref().to_vec(), kind, bytes.to_vec())))
        .unwrap();
    let theirs: Vec<_> = theirs
        .iter()
        .map(|node| {
            (
                node.digest.0.clone(),
                kind_of(&node.kind),
                node.preimage.0.clone(),
            )
        })
        .collect();
    let (our_nodes, their_nodes) = (all_expanded::<K>(&ours), all_expanded::<K>(&theirs));
    assert_eq!(our_nodes, their_nodes, "the nodes with all extensions expanded");
    let single_child = theirs
        .iter()
        .any(|(_, kind, node)| *kind == NodeKind::Inner && has_empty_child::<K>(node));
    if !single_child {
        let stored = |nodes: &[Stored]| nodes.iter().map(masked).collect::<BTreeSet<_>>();
        assert_eq!(stored(&ours), stored(&theirs), "the nodes as stored");
    }
}

/// Digest, kind, encoding.
type Stored = (Vec<u8>, NodeKind, Vec<u8>);

fn kind_of(name: &str) -> NodeKind {
    match name {
        "leaf" => NodeKind::Leaf,
        "inner" => NodeKind::Inner,
        "extension" => NodeKind::Extension,
        _ => panic!("unknown kind {name}"),
    }
}

/// Encodings of all leaves and inner nodes, with the chains that extensions stand for.
fn all_expanded<K: Kind>(nodes: &[Stored]) -> BTreeSet<Vec<u8>> {
    let mut all = BTreeSet::new();
    for (digest, _, node) in nodes {
        let (top, below) = expanded::<K>(node).unwrap();
        assert_eq!(K::of_encoding(&top).unwrap().as_ref(), digest);
        all.insert(top);
        all.extend(below);
    }
    all
}

/// The encoding with the path bits behind an extension's end cleared.
fn masked((_, kind, node): &Stored) -> Vec<u8> {
    match kind {
        NodeKind::Extension => [
            &node[..3],
            path_of(node).unwrap().prefix(node[2].into()).as_ref(),
            &node[35..],
        ]
        .concat(),
        _ => node.clone(),
    }
}

fn has_empty_child<K: Kind>(inner: &[u8]) -> bool {
    let (left, right) = inner[1..=2 * K::DIGEST_LEN].split_at(K::DIGEST_LEN);
    left == K::EMPTY.as_ref() || right == K::EMPTY.as_ref()
}
