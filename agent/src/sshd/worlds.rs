//! The ways a connection can be, as far as a configuration tells them apart.

use super::matching::{ConnectionCriterion, Decide};

/// The most worlds that are looked at for one account.
pub const WORLDS_MAX: usize = 64;

/// What a connection is supposed to be like.
pub type World = Vec<(ConnectionCriterion, bool)>;

/// The connection has more possibilities than [`WORLDS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {WORLDS_MAX} kinds of connection are told apart")]
pub struct TooManyWorlds;

/// Evaluates something once for every way the connection can be, as far as it asks.
pub fn worlds<T>(
    mut evaluate: impl FnMut(&mut dyn Decide) -> T,
) -> Result<Vec<(World, T)>, TooManyWorlds> {
    let mut done = Vec::new();
    let mut open = vec![World::new()];
    while let Some(given) = open.pop() {
        if done.len() + open.len() >= WORLDS_MAX {
            return Err(TooManyWorlds);
        }
        let supposed = given.len();
        let mut supposition = Supposition { world: given };
        let value = evaluate(&mut supposition);
        let world = supposition.world;
        // Every criterion met for the first time was supposed false; its other half is still to be looked at.
        for at in supposed..world.len() {
            let mut other = world[..=at].to_vec();
            other[at].1 = true;
            if is_possible(&other) {
                open.push(other);
            }
        }
        done.push((world, value));
    }
    Ok(done)
}

struct Supposition {
    world: World,
}

impl Decide for Supposition {
    fn decide(&mut self, criterion: &ConnectionCriterion) -> bool {
        if let Some((_, holds)) = self.world.iter().find(|(known, _)| known == criterion) {
            return *holds;
        }
        self.world.push((criterion.clone(), false));
        false
    }
}

/// A connection comes to one port only.
fn is_possible(world: &World) -> bool {
    let ports = world
        .iter()
        .filter(|(c, holds)| *holds && matches!(c, ConnectionCriterion::LocalPort(_)));
    ports.count() <= 1
}

/// A world for people: the criteria that hold, or that none does.
pub fn describe(world: &World) -> String {
    let list = |wanted: bool| {
        let names: Vec<_> = world
            .iter()
            .filter(|(_, holds)| *holds == wanted)
            .map(|(c, _)| c.to_string())
            .collect();
        names.join(" and ")
    };
    let (holds, fails) = (list(true), list(false));
    match (holds.is_empty(), fails.is_empty()) {
        (true, true) => "any connection".into(),
        (false, _) => holds,
        (true, false) => format!("not {}", fails.replace(" and ", " and not ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worlds_are_the_ones_that_matter() {
        let port = |n| ConnectionCriterion::LocalPort(n);
        let all = worlds(|c| {
            (
                c.decide(&port(22)),
                c.decide(&port(2222)),
                c.decide(&port(22)),
            )
        })
        .unwrap();
        let mut values: Vec<_> = all.iter().map(|(_, v)| *v).collect();
        values.sort_unstable();
        assert_eq!(
            values,
            [
                (false, false, false),
                (false, true, false),
                (true, false, true)
            ]
        );
        assert_eq!(
            describe(&all[0].0),
            "not LocalPort 22 and not LocalPort 2222"
        );
        assert_eq!(worlds(|_| ()).unwrap().len(), 1);
        let many = worlds(|c| {
            (0..7)
                .filter(|n| c.decide(&ConnectionCriterion::Host(vec![b'a' + n])))
                .count()
        });
        assert_eq!(many, Err(TooManyWorlds));
    }
}
