//! Credentials of databases and services.

use super::{home, system};

#[test]
fn databases_and_services() {
    assert_eq!(
        home(
            ".pgpass",
            "# c\ndb.test:5432:app:u:p:w\n*:*:*:u\\:x:s3c\nincomplete:1\n"
        ),
        ["postgres_password db.test=p:w", "postgres_password *=s3c"]
    );
    assert_eq!(
        home(
            ".my.cnf",
            "[client]\nuser=a\npassword = \"s#3c\"\n[mysqld]\nport=1\n"
        ),
        ["mysql_password client=s#3c"]
    );
    assert_eq!(home(".mylogin.cnf", [0_u8; 40]).len(), 1);
    assert_eq!(
        system(
            "etc/fstab",
            "# //no/x /m cifs password=no 0 0\n//h/s /mnt cifs username=a,password=s3c,ro 0 0\n//h/t /n cifs credentials=/etc/c 0 0\n"
        ),
        ["smb_password //h/s=s3c", "> /etc/c"]
    );
    assert_eq!(
        system("etc/samba/credentials", "username=a\npassword=s3c\n"),
        ["smb_password =s3c"]
    );
    assert_eq!(
        system(
            "etc/ceph/ceph.client.admin.keyring",
            "[client.admin]\n\tkey = QVFCfake==\n\tcaps mon = \"allow *\"\n"
        ),
        ["ceph_key client.admin=QVFCfake=="]
    );
    assert_eq!(
        system(
            "etc/rndc.key",
            "key \"rndc-key\" {\n\talgorithm hmac-sha256;\n\tsecret \"czNj\";\n};\n"
        ),
        ["tsig_key rndc-key=czNj"]
    );
    assert_eq!(
        home(
            ".msmtprc",
            "account gmail\nhost smtp.test\npassword s3c\naccount other\npasswordeval pass x\n"
        ),
        ["mail_password smtp.test=s3c"]
    );
    assert_eq!(
        home(
            ".fetchmailrc",
            "poll imap.test protocol imap user \"a\" password \"s 3c\"\n"
        ),
        ["mail_password imap.test=s 3c"]
    );
    assert_eq!(
        system(
            "etc/postfix/sasl_passwd",
            "# x\n[smtp.test]:587 user:s:3c\n"
        ),
        ["mail_password [smtp.test]:587=s:3c"]
    );
    assert_eq!(
        system("etc/exim4/passwd.client", "*:user:s3c\n"),
        ["mail_password *=s3c"]
    );
    assert_eq!(
        system(
            "etc/sssd/sssd.conf",
            "[domain/x]\nldap_default_authtok = s3c\n"
        ),
        ["directory_password domain/x=s3c"]
    );
    assert_eq!(
        system("etc/nslcd.conf", "uri ldap://x\nbindpw s3c\n#bindpw no\n"),
        ["directory_password =s3c"]
    );
    assert_eq!(
        system("etc/pam_ldap.secret", "s3c\n"),
        ["directory_password =s3c"]
    );
}
