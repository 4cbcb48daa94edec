//! The shape of the tree: who is above whom, and where a category may go.
//!
//! The pairs of all categories are read once; a few hundred of them are less than one article. Bad data
//! (a cycle, a parent that is not there) ends a walk and is never followed without end.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;

use super::CategoryId;
use crate::db::Conn;
use crate::schema::categories;

/// How many levels the tree may have.
pub(super) const MAX_LEVELS: usize = 10;

/// Each category's parent.
#[derive(Default)]
pub(crate) struct Tree(HashMap<CategoryId, Option<CategoryId>>);

/// Why a category can't go where it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Misplaced {
    /// The parent would be the category itself or one below it.
    Cycle,
    /// The tree would have more than [`MAX_LEVELS`] levels.
    TooDeep,
}

impl Tree {
    pub(crate) fn load(conn: &mut Conn) -> QueryResult<Self> {
        let pairs = categories::table.select((categories::id, categories::parent_id)).load(conn)?;
        Ok(Self(pairs.into_iter().collect()))
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<(CategoryId, Option<CategoryId>)>()
    }

    /// Whether `id` may stand under `parent`, with all that is below it.
    pub(super) fn check(&self, id: CategoryId, parent: CategoryId) -> Result<(), Misplaced> {
        let line = self.line(parent);
        if line.contains(&id) {
            return Err(Misplaced::Cycle);
        }
        if line.len() + self.levels(id) > MAX_LEVELS { Err(Misplaced::TooDeep) } else { Ok(()) }
    }

    /// Each of these and all their ancestors, each once.
    pub(crate) fn with_ancestors(&self, ids: &[CategoryId]) -> Vec<CategoryId> {
        let mut seen = HashSet::new();
        ids.iter().flat_map(|id| self.line(*id)).filter(|id| seen.insert(*id)).collect()
    }

    /// Each of these and all that is below them, each once.
    pub(crate) fn with_descendants(&self, ids: &[CategoryId]) -> Vec<CategoryId> {
        self.0.keys().copied().filter(|id| self.line(*id).iter().any(|one| ids.contains(one))).collect()
    }

    /// A category and its ancestors, the nearest first.
    fn line(&self, id: CategoryId) -> Vec<CategoryId> {
        let mut line = vec![id];
        let mut next = self.parent(id);
        while let Some(parent) = next.filter(|parent| !line.contains(parent)) {
            line.push(parent);
            next = self.parent(parent);
        }
        line
    }

    /// How many levels a category and those below it have.
    fn levels(&self, id: CategoryId) -> usize {
        let below = |other: &CategoryId| self.line(*other).iter().position(|one| *one == id);
        1 + self.0.keys().filter_map(below).max().unwrap_or_default()
    }

    fn parent(&self, id: CategoryId) -> Option<CategoryId> {
        self.0.get(&id).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(number: usize) -> Vec<CategoryId> {
        (0..number).map(|_| CategoryId::generate()).collect()
    }

    /// Each stands under the one before it.
    fn chain(ids: &[CategoryId]) -> Tree {
        let parent = |index: usize| index.checked_sub(1).map(|before| ids[before]);
        Tree(ids.iter().enumerate().map(|(index, id)| (*id, parent(index))).collect())
    }

    #[test]
    fn a_category_does_not_go_under_itself_nor_under_one_below_it() {
        let ids = ids(3);
        let tree = chain(&ids);
        assert_eq!(tree.check(ids[0], ids[0]), Err(Misplaced::Cycle));
        assert_eq!(tree.check(ids[0], ids[2]), Err(Misplaced::Cycle));
        assert_eq!(tree.check(ids[2], ids[0]), Ok(()));
    }

    #[test]
    fn the_tree_has_at_most_ten_levels_with_all_that_moves_along() {
        let ids = ids(MAX_LEVELS);
        let mut tree = chain(&ids);
        let (new, root, leaf) = (CategoryId::generate(), CategoryId::generate(), CategoryId::generate());
        assert_eq!(tree.check(new, ids[MAX_LEVELS - 1]), Err(Misplaced::TooDeep));
        assert_eq!(tree.check(new, ids[MAX_LEVELS - 2]), Ok(()));
        tree.0.extend([(root, None), (leaf, Some(root))]);
        assert_eq!(tree.check(root, ids[MAX_LEVELS - 2]), Err(Misplaced::TooDeep));
        assert_eq!(tree.check(root, ids[MAX_LEVELS - 3]), Ok(()));
    }

    #[test]
    fn ancestors_come_once_each_and_bad_data_ends_the_walk() {
        let ids = ids(4);
        let mut tree = chain(&ids[..3]);
        assert_eq!(tree.with_ancestors(&[ids[2], ids[1]]), vec![ids[2], ids[1], ids[0]]);
        tree.0.insert(ids[0], Some(ids[2]));
        assert_eq!(tree.with_ancestors(&[ids[1]]), vec![ids[1], ids[0], ids[2]]);
        tree.0.insert(ids[1], Some(ids[3]));
        assert_eq!(tree.with_ancestors(&[ids[1]]), vec![ids[1], ids[3]]);
    }
}
