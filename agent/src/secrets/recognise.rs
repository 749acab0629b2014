//! From a file to what it holds.

use super::note::{File, Notes};
use super::places::{HOME, Place, SYSTEM, fits};

/// Looks for credentials of one family in a file. Pure: the same bytes give the same notes.
pub type Recogniser = fn(&File<'_>, &mut Notes<'_>);

/// What is looked for in a file that lies so below a home: `.aws/credentials`.
pub fn in_home(path: &[u8]) -> Option<Recogniser> {
    first_fit(HOME, path)
}

/// What is looked for in a file that lies so below `/`: `etc/krb5.keytab`.
pub fn of_system(path: &[u8]) -> Option<Recogniser> {
    first_fit(SYSTEM, path)
}

fn first_fit(places: &[Place], path: &[u8]) -> Option<Recogniser> {
    let names: Vec<&[u8]> = path.split(|b| *b == b'/').collect();
    let components = |place: &Place| place.pattern.split('/').collect::<Vec<_>>();
    places
        .iter()
        .find(|place| all_fit(&components(place), &names))?
        .read
}

fn all_fit(pattern: &[&str], names: &[&[u8]]) -> bool {
    match (pattern, names) {
        ([], []) => true,
        (["**", rest @ ..], _) => (0..=names.len()).any(|skip| all_fit(rest, &names[skip..])),
        ([first, rest @ ..], [name, names @ ..]) => fits(first, name) && all_fit(rest, names),
        _ => false,
    }
}
