//! Changing a store's trie, page by page.

use portico_smst::Path;

use crate::page::{EMPTY, NIBBLES, Page, SLOTS, Slot, leaf_digest, nibble};
use crate::versioned::Writer;
use crate::{Altered, Hash, StoreError};

/// A leaf that is set, or removed.
struct Edit {
    path: Path,
    key: Vec<u8>,
    digest: Option<Hash>,
}

/// Applies the changes of a block to the pages of the stores that they name.
pub(crate) fn apply(pages: &mut Writer<'_>, changes: &[Altered<'_>]) -> Result<(), StoreError> {
    let mut stores: Vec<&str> = changes.iter().map(|(store, _, _)| *store).collect();
    stores.sort_unstable();
    stores.dedup();
    for store in stores {
        let edits = changes.iter().filter(|(of, _, _)| *of == store).map(edit);
        let mut edits = edits.collect::<Result<Vec<_>, _>>()?;
        edits.sort_unstable_by_key(|edit| edit.path);
        Trie { pages, store }.update(&mut Vec::new(), &edits)?;
    }
    Ok(())
}

fn edit((store, key, value): &Altered<'_>) -> Result<Edit, StoreError> {
    if key.is_empty() {
        return Err(StoreError::Damaged(format!("a key of {store} is empty")));
    }
    let path = Path::of_key(key);
    Ok(Edit {
        path,
        key: key.to_vec(),
        digest: value.map(|value| *leaf_digest(&path, value).as_bytes()),
    })
}

/// Root of a store's trie whose root page is `page`.
pub(crate) fn root(page: Option<Vec<u8>>) -> Result<Hash, StoreError> {
    page.map_or(Ok(EMPTY), |bytes| Ok(Page::decode(&bytes)?.digest()))
}

/// The key of the leaf at `path`; `page` reads the page at a way.
pub(crate) fn key_at(
    path: &Path,
    page: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, StoreError>,
) -> Result<Option<Vec<u8>>, StoreError> {
    let mut way = Vec::new();
    while way.len() < NIBBLES {
        let Some(bytes) = page(&way)? else {
            return Ok(None);
        };
        let index = nibble(path, way.len());
        match std::mem::take(&mut Page::decode(&bytes)?.0[index]) {
            Slot::Leaf { key, .. } if Path::of_key(&key) == *path => return Ok(Some(key)),
            Slot::Page(_) => way.push(u8::try_from(index).expect("a nibble")),
            Slot::Leaf { .. } | Slot::Empty => return Ok(None),
        }
    }
    Ok(None)
}

struct Trie<'a, 't> {
    pages: &'a mut Writer<'t>,
    store: &'a str,
}

impl Trie<'_, '_> {
    /// Applies `edits`, sorted and all below the page at `way`; returns what its parent has in the slot for it.
    fn update(&mut self, way: &mut Vec<u8>, edits: &[Edit]) -> Result<Slot, StoreError> {
        let stored = self.pages.get(self.store, way)?;
        let before = stored.as_deref().map(Page::decode).transpose()?;
        let depth = way.len();
        if depth > 0 && before.is_none() {
            return Err(StoreError::Damaged(format!(
                "a page of {} is missing",
                self.store
            )));
        }
        let mut page = before.clone().unwrap_or_default();
        for edits in edits.chunk_by(|a, b| nibble(&a.path, depth) == nibble(&b.path, depth)) {
            let index = nibble(&edits[0].path, depth);
            let slot = std::mem::take(&mut page.0[index]);
            way.push(u8::try_from(index).expect("a nibble"));
            page.0[index] = self.slot(way, slot, edits)?;
            way.pop();
        }
        let collapsed = match page.only_leaf() {
            Some(leaf) if depth > 0 => Some(leaf.clone()),
            _ => page.is_empty().then_some(Slot::Empty),
        };
        if let Some(slot) = collapsed {
            if before.is_some() {
                self.pages.put(self.store, way, None)?;
            }
            return Ok(slot);
        }
        if before.as_ref() != Some(&page) {
            self.pages.put(self.store, way, Some(&page.encode()?))?;
        }
        Ok(Slot::Page(page.digest()))
    }

    /// A slot of a page after `edits`.
    fn slot(&mut self, way: &mut Vec<u8>, slot: Slot, edits: &[Edit]) -> Result<Slot, StoreError> {
        let stays = match slot {
            Slot::Page(_) => return self.update(way, edits),
            Slot::Leaf { digest, key } if edits.iter().all(|edit| edit.key != key) => Some(Edit {
                path: Path::of_key(&key),
                key,
                digest: Some(digest),
            }),
            Slot::Leaf { .. } | Slot::Empty => None,
        };
        let mut leaves: Vec<&Edit> = edits.iter().filter(|edit| edit.digest.is_some()).collect();
        leaves.extend(stays.as_ref());
        leaves.sort_unstable_by_key(|leaf| leaf.path);
        match leaves.as_slice() {
            [] => Ok(Slot::Empty),
            [leaf] => Ok(leaf.slot()),
            _ => self.fresh(way, &leaves),
        }
    }

    /// Writes the page at `way`, where none was, for these two leaves or more.
    fn fresh(&mut self, way: &mut Vec<u8>, leaves: &[&Edit]) -> Result<Slot, StoreError> {
        let depth = way.len();
        if depth >= NIBBLES {
            return Err(StoreError::Damaged("two keys have the same path".into()));
        }
        let mut page = Page(std::array::from_fn::<_, SLOTS, _>(|_| Slot::Empty));
        for below in leaves.chunk_by(|a, b| nibble(&a.path, depth) == nibble(&b.path, depth)) {
            let index = nibble(&below[0].path, depth);
            way.push(u8::try_from(index).expect("a nibble"));
            page.0[index] = match below {
                [leaf] => leaf.slot(),
                _ => self.fresh(way, below)?,
            };
            way.pop();
        }
        self.pages.put(self.store, way, Some(&page.encode()?))?;
        Ok(Slot::Page(page.digest()))
    }
}

impl Edit {
    fn slot(&self) -> Slot {
        self.digest.map_or(Slot::Empty, |digest| Slot::Leaf {
            digest,
            key: self.key.clone(),
        })
    }
}
