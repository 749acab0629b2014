//! Keytabs of Kerberos.

use super::system;

#[test]
fn keytabs() {
    let entry = |principal: &[&str], key: &[u8]| {
        let counted = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
        let mut body = (principal.len() as u16 - 1).to_be_bytes().to_vec();
        body.extend(principal.iter().flat_map(|part| counted(part.as_bytes())));
        body.extend([0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 18]);
        body.extend(counted(key));
        [&(body.len() as i32).to_be_bytes()[..], &body].concat()
    };
    let hole = [&(-6_i32).to_be_bytes()[..], &[0; 6]].concat();
    let file = [
        vec![5, 2],
        entry(&["R.TEST", "host", "web"], b"k1"),
        hole,
        entry(&["R.TEST", "alice"], b"k2"),
        entry(&["R.TEST", "host", "web"], b"k3"),
    ]
    .concat();
    assert_eq!(
        system("etc/krb5.keytab", &file),
        ["keytab host/web@R.TEST=k1k3", "keytab alice@R.TEST=k2"]
    );
    assert_eq!(system("etc/krb5.keytab", [5, 2]), Vec::<String>::new());
    assert_eq!(
        system("etc/krb5.keytab", &file[..file.len() - 1]),
        [
            "? keytab a keytab that is cut short",
            "keytab host/web@R.TEST=k1",
            "keytab alice@R.TEST=k2"
        ]
    );
}
