//! What is looked at, as a tree of names: that most paths begin alike costs nothing then.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

/// The state of something, as one number; [`MISSING`] where there is nothing.
pub type Stamp = [u8; 16];

/// There is nothing of that name.
pub const MISSING: Stamp = [0; 16];

/// Directories and links that are followed from one path.
const LINKS_MAX: usize = 40;
/// Names in one tree; more than this are a doubt.
const NAMES_MAX: usize = 4_000_000;

/// How much of what is at a path decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum Sight {
    /// Whether there is something, what it is and whose; links are followed.
    #[n(0)]
    #[default]
    There,
    /// What a listing says of it: of a file all, of a directory what it is and whose, of a link the
    /// link itself.
    #[n(1)]
    Listed,
    /// All of it: content, names, attributes; links are followed.
    #[n(2)]
    Whole,
}

/// A name to be looked at. In a list, each comes after the directory it is in.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Ask {
    /// How many directories it is below the root directory, which is 0.
    #[n(0)]
    pub depth: u32,
    /// The name; empty for the root directory.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub name: Vec<u8>,
    /// How much of it decides.
    #[n(2)]
    pub sight: Sight,
}

/// What was seen of a name.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Seen {
    /// Its state.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub stamp: Stamp,
    /// What a symbolic link says.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub link: Option<Vec<u8>>,
    /// Why its state may not be the one that was read.
    #[n(2)]
    pub doubt: Option<String>,
}

/// What was looked at.
#[derive(Debug, Default)]
pub struct Tree {
    root: Node,
    names: usize,
    doubt: Option<String>,
}

#[derive(Debug, Default)]
struct Node {
    sight: Sight,
    /// A path ends here, and goes on where a link leads.
    follow: bool,
    stamp: Option<Stamp>,
    below: BTreeMap<Vec<u8>, Node>,
}

impl Tree {
    /// Something was looked at; the path begins at the root directory.
    pub fn see(&mut self, path: &[u8], sight: Sight) {
        let Some(names) = resolve(Vec::new(), path) else {
            return self.doubt(format!("{} goes up", path.escape_ascii()));
        };
        let node = self.node(names);
        node.widen(sight);
        node.follow |= sight != Sight::Listed;
    }

    /// Something cannot be told from stamps; the first such reason stays.
    pub fn doubt(&mut self, why: impl Into<String>) {
        self.doubt.get_or_insert_with(|| why.into());
    }

    /// Why there can be no stamps.
    pub fn take_doubt(&mut self) -> Option<String> {
        self.doubt.take()
    }

    /// Takes in what others have looked at.
    pub fn join(&mut self, other: Self) {
        if let Some(why) = other.doubt {
            self.doubt(why);
        }
        self.names += other.names;
        self.root.join(other.root);
    }

    /// What has no stamp yet, with the directories that lead there.
    pub fn asks(&self) -> Vec<Ask> {
        let mut asks = Vec::new();
        if self.root.lacks() {
            self.root.ask(0, &[], &mut asks);
        }
        asks
    }

    /// Takes what was seen of [`Tree::asks`], in their order, and puts what is behind links where
    /// these lead. To be done again until there is nothing more to ask.
    pub fn take(&mut self, seen: Vec<Seen>) {
        if !self.root.lacks() {
            return;
        }
        let mut taking = Taking {
            seen: seen.into_iter(),
            links: Vec::new(),
            doubt: None,
        };
        taking.node(&mut self.root, &mut Vec::new());
        let Taking { links, doubt, .. } = taking;
        if let Some(why) = doubt {
            self.doubt(why);
        }
        for (mut names, target) in links {
            let Some(node) = self.root.find(&names) else {
                continue;
            };
            let moved = Node {
                sight: node.sight,
                follow: node.follow,
                stamp: None,
                below: std::mem::take(&mut node.below),
            };
            node.follow = false;
            let path = names.join(&b'/');
            names.pop();
            match resolve(names, &target) {
                Some(names) => self.node(names).join(moved),
                None => self.doubt(format!("/{} goes up", path.escape_ascii())),
            }
        }
    }

    /// How often [`Tree::take`] may find more to ask. What is still to be followed then is a circle
    /// of links, which leads nowhere for anybody as long as the links stay.
    pub const fn rounds_max() -> usize {
        LINKS_MAX
    }

    /// All names with their stamps, without those that are missing from a directory whose own
    /// stamp says so.
    pub fn stamped(mut self) -> (Vec<Ask>, Vec<Stamp>) {
        self.root.prune();
        let (mut asks, mut stamps) = (Vec::new(), Vec::new());
        self.root.ask_all(0, &[], &mut asks, &mut stamps);
        (asks, stamps)
    }

    /// Whether something was looked at there, or below.
    pub fn has(&self, path: &[u8]) -> bool {
        let names = path.split(|byte| *byte == b'/');
        let names = names.filter(|name| !name.is_empty());
        let mut node = Some(&self.root);
        for name in names {
            node = node.and_then(|node| node.below.get(name));
        }
        node.is_some()
    }

    fn node(&mut self, names: Vec<Vec<u8>>) -> &mut Node {
        if self.names > NAMES_MAX {
            self.doubt("more names were looked at than are compared");
            return &mut self.root;
        }
        let mut node = &mut self.root;
        for name in names {
            if !node.below.contains_key(&name) {
                self.names += 1;
            }
            node = node.below.entry(name).or_default();
        }
        node
    }
}

impl Node {
    fn find(&mut self, names: &[Vec<u8>]) -> Option<&mut Self> {
        names
            .iter()
            .try_fold(self, |node, name| node.below.get_mut(name))
    }

    fn widen(&mut self, sight: Sight) {
        if sight > self.sight {
            self.sight = sight;
            self.stamp = None;
        }
    }

    fn join(&mut self, other: Self) {
        self.widen(other.sight);
        self.follow |= other.follow;
        for (name, node) in other.below {
            self.below.entry(name).or_default().join(node);
        }
    }

    /// Whether there is no stamp of it, or of something below.
    fn lacks(&self) -> bool {
        self.stamp.is_none() || self.below.values().any(Self::lacks)
    }

    fn ask(&self, depth: u32, name: &[u8], asks: &mut Vec<Ask>) {
        asks.push(Ask {
            depth,
            name: name.to_vec(),
            sight: self.sight,
        });
        for (name, node) in self.below.iter().filter(|(_, node)| node.lacks()) {
            node.ask(depth + 1, name, asks);
        }
    }

    fn ask_all(&self, depth: u32, name: &[u8], asks: &mut Vec<Ask>, stamps: &mut Vec<Stamp>) {
        asks.push(Ask {
            depth,
            name: name.to_vec(),
            sight: self.sight,
        });
        stamps.push(self.stamp.unwrap_or(MISSING));
        for (name, node) in &self.below {
            node.ask_all(depth + 1, name, asks, stamps);
        }
    }

    fn prune(&mut self) {
        let known = self.sight == Sight::Whole || self.stamp == Some(MISSING);
        self.below
            .retain(|_, node| !(known && node.stamp == Some(MISSING)));
        self.below.values_mut().for_each(Self::prune);
    }
}

/// What was seen, on its way into the tree.
struct Taking {
    seen: std::vec::IntoIter<Seen>,
    /// Links that are followed, and what they say.
    links: Vec<(Vec<Vec<u8>>, Vec<u8>)>,
    doubt: Option<String>,
}

impl Taking {
    /// Goes the way of [`Node::ask`].
    fn node(&mut self, node: &mut Node, path: &mut Vec<Vec<u8>>) {
        // What is below lacks a stamp or not as it did when it was asked for.
        let asked: Vec<Vec<u8>> = node
            .below
            .iter()
            .filter(|(_, below)| below.lacks())
            .map(|(name, _)| name.clone())
            .collect();
        let Some(seen) = self.seen.next() else {
            self.doubt.get_or_insert("an answer is missing".into());
            return;
        };
        let at = || format!("/{}", path.join(&b'/').escape_ascii());
        if let Some(why) = seen.doubt {
            self.doubt.get_or_insert_with(|| format!("{} {why}", at()));
        }
        if node.stamp.is_some_and(|stamp| stamp != seen.stamp) {
            self.doubt
                .get_or_insert_with(|| format!("{} was changed just now", at()));
        }
        node.stamp = Some(seen.stamp);
        for name in asked {
            if let Some(below) = node.below.get_mut(&name) {
                path.push(name);
                self.node(below, path);
                path.pop();
            }
        }
        if let Some(target) = seen.link
            && (node.follow || !node.below.is_empty())
        {
            self.links.push((path.clone(), target));
        }
    }
}

/// The names that a path leads through from a directory; `None` where it goes up again after it
/// went down, because only a walk can tell where that is.
fn resolve(from: Vec<Vec<u8>>, path: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut names = match path.first() {
        Some(b'/') => Vec::new(),
        _ => from,
    };
    let mut down = false;
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." if down => return None,
            b".." => {
                names.pop();
            }
            name => {
                down = true;
                names.push(name.to_vec());
            }
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers as a host would that has these links and lacks these paths.
    fn fill(tree: &mut Tree, links: &[(&str, &str)], missing: &[&str]) -> usize {
        for round in 0..Tree::rounds_max() {
            let asks = tree.asks();
            if asks.is_empty() {
                return round;
            }
            let mut path: Vec<Vec<u8>> = Vec::new();
            let mut seen = Vec::new();
            for ask in asks {
                path.truncate(ask.depth.saturating_sub(1) as usize);
                if ask.depth > 0 {
                    path.push(ask.name);
                }
                let here = format!("/{}", String::from_utf8(path.join(&b'/')).unwrap());
                let link = links.iter().find(|(at, _)| *at == here);
                seen.push(Seen {
                    stamp: match missing.contains(&here.as_str()) {
                        true => MISSING,
                        false => [7; 16],
                    },
                    link: link.map(|(_, to)| to.as_bytes().to_vec()),
                    doubt: None,
                });
            }
            tree.take(seen);
        }
        Tree::rounds_max()
    }

    fn show(tree: Tree) -> Vec<String> {
        let (asks, _) = tree.stamped();
        let show = |ask: &Ask| {
            let name = String::from_utf8(ask.name.clone()).unwrap();
            let sight = match ask.sight {
                Sight::There => "",
                Sight::Listed => "?",
                Sight::Whole => "!",
            };
            format!("{}{name}{sight}", " ".repeat(ask.depth as usize))
        };
        asks.iter().map(show).collect()
    }

    #[test]
    fn what_is_behind_links_is_looked_at_where_they_lead() {
        let mut tree = Tree::default();
        tree.see(b"/bin/sh", Sight::Whole);
        tree.see(b"/home/a/keys", Sight::Whole);
        tree.see(b"/home/a/other", Sight::Listed);
        let links = [("/bin", "usr/bin"), ("/usr/bin/sh", "dash")];
        assert_eq!(fill(&mut tree, &links, &[]), 3);
        assert_eq!(tree.take_doubt(), None);
        let want = [
            "",
            " bin",
            " home",
            "  a",
            "   keys!",
            "   other?",
            " usr",
            "  bin",
            "   dash!",
            "   sh!",
        ];
        assert_eq!(show(tree), want);
    }

    #[test]
    fn a_circle_of_links_ends() {
        let mut tree = Tree::default();
        tree.see(b"/a/x", Sight::Whole);
        let links = [("/a", "/b"), ("/b", "a")];
        assert_eq!(fill(&mut tree, &links, &[]), Tree::rounds_max());
    }

    #[test]
    fn what_is_missing_is_kept_only_where_its_directory_does_not_tell() {
        let mut tree = Tree::default();
        tree.see(b"/home/a", Sight::Whole);
        tree.see(b"/home/a/.ssh/keys", Sight::Whole);
        tree.see(b"/home/b/.ssh/keys", Sight::Whole);
        fill(
            &mut tree,
            &[],
            &[
                "/home/a/.ssh",
                "/home/a/.ssh/keys",
                "/home/b/.ssh",
                "/home/b/.ssh/keys",
            ],
        );
        assert_eq!(show(tree), ["", " home", "  a!", "  b", "   .ssh"]);
    }

    #[test]
    fn what_goes_up_is_a_doubt_unless_it_begins_so() {
        let mut tree = Tree::default();
        tree.see(b"/a/b", Sight::Whole);
        fill(&mut tree, &[("/a/b", "../c/../d")], &[]);
        assert_eq!(tree.take_doubt().as_deref(), Some("/a/b goes up"));
        tree.see(b"/x/../y", Sight::There);
        assert_eq!(tree.take_doubt().as_deref(), Some("/x/../y goes up"));
    }
}
