//! Credentials of other tools.

use super::home;

#[test]
fn other_tools() {
    assert_eq!(
        home(
            ".config/sops/age/keys.txt",
            "# created: x\n# public key: age1abc\nAGE-SECRET-KEY-1FAKEFAKEFAKE\n"
        ),
        ["age_key age1abc=AGE-SECRET-KEY-1FAKEFAKEFAKE"]
    );
    assert_eq!(
        home(".cache/huggingface/token", "hf_fake\n"),
        ["api_token =hf_fake"]
    );
    assert_eq!(
        home(
            ".config/configstore/firebase-tools.json",
            r#"{"tokens":{"refresh_token":"1//t0k","scopes":["a"]},"user":{"email":"x"}}"#
        ),
        ["api_token tokens=1//t0k"]
    );
    assert_eq!(
        home(
            ".databrickscfg",
            "[DEFAULT]\nhost = https://x\ntoken = dapi0\n"
        ),
        ["api_token DEFAULT=dapi0"]
    );
    assert_eq!(
        home(
            ".circleci/cli.yml",
            "host: https://circleci.com\ntoken: t0k\n"
        ),
        ["api_token token=t0k"]
    );
    assert_eq!(
        home(
            ".config/filezilla/sitemanager.xml",
            "<FileZilla3><Servers><Server><Host>ftp.test</Host><Pass encoding=\"base64\">czNj</Pass></Server></Servers></FileZilla3>"
        ),
        ["ftp_password ftp.test=s3c"]
    );
    assert_eq!(
        home(
            "site/.vscode/sftp.json",
            r#"{"host":"h","password":"s3c","remotePath":"/"}"#
        ),
        ["ftp_password password=s3c"]
    );
    assert_eq!(
        home(".davfs2/secrets", "# c\nhttps://dav.test \"a b\" s3c\n"),
        ["dav_password https://dav.test=s3c"]
    );
    assert_eq!(
        home(".muttrc", "set imap_user=a\nset imap_pass = \"s3c\" # x\n"),
        ["mail_password imap_pass=s3c"]
    );
    assert_eq!(
        home(
            ".config/helm/repositories.yaml",
            "repositories:\n- name: one\n  password: s3c\n  url: https://r\n- name: two\n  password: \"\"\n"
        ),
        [
            "docker_registry_auth one=s3c",
            "- docker_registry_auth two empty"
        ]
    );
    assert_eq!(
        home(
            "infra/terraform.tfvars",
            "region = \"x\"\ndb_password = \"s3cr3t\"\n"
        ),
        ["env_secret db_password=s3cr3t"]
    );
}
