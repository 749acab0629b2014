//! Rules by which sudo(8) lets accounts do nothing: a file of our own, read last.
//!
//! The last rule that matches decides (sudoers(5)), so one rule at the end takes back what others
//! grant by name, uid, group, alias or `ALL`, and no file of anybody else has to be changed.

use rescind_protocol::name::AccountName;

/// The file. Its name comes behind all others that anybody gives a file in that directory; those of
/// names with a `.` sudo does not read.
pub const FILE: &str = "/etc/sudoers.d/zzzz-rescind";
/// Its mode, the one sudo asks for.
pub const MODE: u32 = 0o440;

const HEAD: &str = "\
# Written by rescind-agent: these accounts have lost sudo. Each line goes with the
# order that wrote it (rescind release); what is taken out by hand is put back.
";

/// Why no rule can deny an account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sudoers(5) has no way to name {0}")]
pub struct Unnameable(AccountName);

/// The rule that denies an account everything, as a line without its end.
pub fn rule(account: &AccountName) -> Result<String, Unnameable> {
    let name = account.as_str();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let is_plain =
        name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') && name.chars().all(plain);
    // In quotes a name is no alias and no `ALL`; but these begin no name there either.
    let is_quotable = !name.starts_with(['%', '#', '+', '!']) && !name.contains(['"', '\\']);
    match (is_plain, is_quotable) {
        (true, _) => Ok(format!("{name} ALL=(ALL:ALL) !ALL")),
        (false, true) => Ok(format!("\"{name}\" ALL=(ALL:ALL) !ALL")),
        (false, false) => Err(Unnameable(account.clone())),
    }
}

/// Whether the file, where there is one, has an account's rule as its own line.
pub fn has(file: Option<&[u8]>, account: &AccountName) -> Result<bool, Unnameable> {
    let rule = rule(account)?;
    Ok(file.is_some_and(|file| lines(file).any(|line| line == rule.as_bytes())))
}

/// The file with an account's rule at its end; the rest stays byte for byte.
pub fn with(file: Option<&[u8]>, account: &AccountName) -> Result<Vec<u8>, Unnameable> {
    let mut out = file.map_or_else(|| HEAD.as_bytes().to_vec(), <[u8]>::to_vec);
    if has(file, account)? {
        return Ok(out);
    }
    if !out.is_empty() && !out.ends_with(b"\n") {
        out.push(b'\n');
    }
    out.extend_from_slice(rule(account)?.as_bytes());
    out.push(b'\n');
    Ok(out)
}

/// The file without an account's rule; `None` when nothing but our own words would be left.
pub fn without(file: &[u8], account: &AccountName) -> Result<Option<Vec<u8>>, Unnameable> {
    let rule = rule(account)?;
    let kept: Vec<u8> = file
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.strip_suffix(b"\n").unwrap_or(line) != rule.as_bytes())
        .flatten()
        .copied()
        .collect();
    Ok((kept != HEAD.as_bytes()).then_some(kept))
}

fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|byte| *byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> AccountName {
        text.parse().unwrap()
    }

    #[test]
    fn the_file_comes_and_goes_with_its_rules() {
        let alice = with(None, &name("alice")).unwrap();
        assert!(alice.starts_with(HEAD.as_bytes()));
        assert!(alice.ends_with(b"\nalice ALL=(ALL:ALL) !ALL\n"));
        assert_eq!(with(Some(&alice), &name("alice")).unwrap(), alice);
        let both = with(Some(&alice), &name("Bob Smith")).unwrap();
        assert!(both.ends_with(b"\n\"Bob Smith\" ALL=(ALL:ALL) !ALL\n"));
        assert_eq!(has(Some(&both), &name("alice")), Ok(true));
        assert_eq!(has(Some(&both), &name("bob")), Ok(false));
        let back = without(&both, &name("Bob Smith")).unwrap();
        assert_eq!(back, Some(alice.clone()));
        assert_eq!(without(&alice, &name("alice")), Ok(None));
    }

    #[test]
    fn what_others_wrote_into_it_stays() {
        let file = b"# mine\nalice ALL=(ALL:ALL) !ALL # why\nbob ALL=(ALL) ALL";
        let more = with(Some(file), &name("alice")).unwrap();
        let want = [&file[..], b"\nalice ALL=(ALL:ALL) !ALL\n"].concat();
        assert_eq!(more, want);
        let back = without(&more, &name("alice")).unwrap().unwrap();
        assert_eq!(back, [&file[..], b"\n"].concat());
    }

    #[test]
    fn names_that_mean_something_else_are_quoted_or_refused() {
        for (account, want) in [
            ("_apt", Some("_apt ALL=(ALL:ALL) !ALL")),
            ("ALL", Some("\"ALL\" ALL=(ALL:ALL) !ALL")),
            ("ADMINS", Some("\"ADMINS\" ALL=(ALL:ALL) !ALL")),
            ("ünï", Some("\"ünï\" ALL=(ALL:ALL) !ALL")),
            ("1000", Some("\"1000\" ALL=(ALL:ALL) !ALL")),
            ("%wheel", None),
            ("#0", None),
            ("a\"b", None),
        ] {
            assert_eq!(rule(&name(account)).ok().as_deref(), want, "{account}");
        }
    }
}
