//! The ways a connection can be, as far as a configuration tells them apart.

use std::net::IpAddr;

use super::matching::{ConnectionCriterion, Decide};
use super::pattern::{Network, NetworkParse};

/// The most worlds that are looked at for one account.
pub const WORLDS_MAX: usize = 64;

/// The most networks, of all lists together, that are compared with each other. Of more it is not known whether a
/// connection can be like that, so it is taken to.
const NETWORKS_MAX: usize = 128;

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
        let mut supposition = Supposition {
            world: given,
            is_full: false,
        };
        let value = evaluate(&mut supposition);
        if supposition.is_full {
            return Err(TooManyWorlds);
        }
        let world = supposition.world;
        // Of every criterion met for the first time the other half is still to be looked at.
        for at in supposed..world.len() {
            let mut other = world[..=at].to_vec();
            other[at].1 = !other[at].1;
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
    /// More is asked of it than can be told apart.
    is_full: bool,
}

impl Decide for Supposition {
    /// What is not known yet is supposed false, unless it cannot be.
    fn decide(&mut self, criterion: &ConnectionCriterion) -> bool {
        if let Some((_, holds)) = self.world.iter().find(|(known, _)| known == criterion) {
            return *holds;
        }
        // Each of them holds in some world; there would be as many of these, at least.
        if self.world.len() >= WORLDS_MAX {
            self.is_full = true;
            return false;
        }
        self.world.push((criterion.clone(), false));
        let holds = !is_possible(&self.world);
        if let Some(last) = self.world.last_mut() {
            last.1 = holds;
        }
        holds
    }
}

/// Whether some connection is like that: it comes to one port, from one address, to one address.
///
/// Lists with wildcards, and names, are taken to hold or not as they please.
fn is_possible(world: &World) -> bool {
    let ports = world
        .iter()
        .filter(|(c, holds)| *holds && matches!(c, ConnectionCriterion::LocalPort(_)));
    ports.count() <= 1
        && some_address_fits(world, |c| match c {
            ConnectionCriterion::Address(list) => Some(list),
            _ => None,
        })
        && some_address_fits(world, |c| match c {
            ConnectionCriterion::LocalAddress(list) => Some(list),
            _ => None,
        })
}

fn some_address_fits(
    world: &World,
    kind: impl Fn(&ConnectionCriterion) -> Option<&Vec<u8>>,
) -> bool {
    let lists: Vec<(AddressList, bool)> = world
        .iter()
        .filter_map(|(criterion, holds)| Some((AddressList::parse(kind(criterion)?)?, *holds)))
        .collect();
    let networks: usize = lists.iter().map(|(list, _)| list.networks.len()).sum();
    if lists.len() < 2 || networks > NETWORKS_MAX {
        return true;
    }
    // Whether a list holds changes only where one of its networks begins or ends.
    let edges = lists
        .iter()
        .flat_map(|(list, _)| &list.networks)
        .flat_map(|(network, _)| [Some(network.first), network.next()].into_iter().flatten());
    let lowest = [IpAddr::from([0; 4]), IpAddr::from([0; 16])];
    edges.chain(lowest).any(|address| {
        lists
            .iter()
            .all(|(list, holds)| list.holds(address) == *holds)
    })
}

/// A list of addresses without wildcards.
struct AddressList {
    /// Networks, and whether they are negated.
    networks: Vec<(Network, bool)>,
}

impl AddressList {
    fn parse(list: &[u8]) -> Option<Self> {
        let entry = |entry: &[u8]| {
            let bare = entry.strip_prefix(b"!");
            match Network::parse(bare.unwrap_or(entry)) {
                NetworkParse::Network(network) => Some((network, bare.is_some())),
                _ => None,
            }
        };
        let networks = list
            .split(|b| *b == b',')
            .map(entry)
            .collect::<Option<_>>()?;
        Some(Self { networks })
    }

    fn holds(&self, address: IpAddr) -> bool {
        let found = |negated| {
            self.networks
                .iter()
                .any(|(network, n)| *n == negated && network.contains(address))
        };
        found(false) && !found(true)
    }
}

/// The criteria that are told of a world in which none holds.
const FAILING_TOLD_MAX: usize = 3;

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
        (true, false) if world.len() > FAILING_TOLD_MAX => {
            format!("none of the {} kinds that are told apart", world.len())
        }
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

    #[test]
    fn more_than_can_be_told_apart_is_soon_known() {
        let address = |n: u32| format!("10.{}.{}.0/24", n / 256, n % 256).into_bytes();
        let nets: Vec<_> = (0..20_000)
            .map(|n| ConnectionCriterion::Address(address(n)))
            .collect();
        let found = worlds(|c| nets.iter().filter(|net| c.decide(net)).count());
        assert_eq!(found, Err(TooManyWorlds));
        // Two lists of thousands of networks each: whether they overlap is left open.
        let list = |from: u32| {
            let nets: Vec<_> = (from..from + 5_000).map(address).collect();
            ConnectionCriterion::Address(nets.join(&b','))
        };
        let lists = [list(0), list(5_000)];
        let found = worlds(|c| lists.each_ref().map(|list| c.decide(list)));
        assert_eq!(found.unwrap().len(), 4);
    }

    #[test]
    fn one_connection_has_one_address() {
        let address = |list: &str| ConnectionCriterion::Address(list.into());
        let nets: Vec<_> = (0..40)
            .map(|n| address(&format!("10.{n}.0.0/16")))
            .collect();
        let found = worlds(|c| nets.iter().filter(|net| c.decide(net)).count()).unwrap();
        assert_eq!(found.len(), 41);
        assert!(found.iter().all(|(_, held)| *held <= 1));
        let nested = [
            address("10.0.0.0/8"),
            address("10.1.0.0/16"),
            address("!10.1.0.0/16,10.0.0.0/8"),
        ];
        let found = worlds(|c| nested.each_ref().map(|net| c.decide(net))).unwrap();
        let mut values: Vec<_> = found.into_iter().map(|(_, held)| held).collect();
        values.sort_unstable();
        assert_eq!(
            values,
            [
                [false, false, false],
                [true, false, true],
                [true, true, false]
            ]
        );
        // A wildcard is not understood, and may go with anything.
        let wild = [address("10.0.0.0/8"), address("192.168.*")];
        assert_eq!(
            worlds(|c| wild.each_ref().map(|net| c.decide(net)))
                .unwrap()
                .len(),
            4
        );
        let all = [address("0.0.0.0/0,::/0")];
        let both = [address("0.0.0.0/0"), address("::/0"), all[0].clone()];
        assert_eq!(
            worlds(|c| both.each_ref().map(|net| c.decide(net)))
                .unwrap()
                .len(),
            2
        );
    }
}
