//! What stands in environments, and files that name others.

use super::super::recognise;
use super::{home, system};

#[test]
fn environments() {
    assert_eq!(
        home(
            "app/.env",
            "DB_PASSWORD=s3c\nDB_HOST=db\nAPI_KEY=YOUR_API_KEY_HERE\nSMTP_PASSWORD=\nURL=postgres://u:p4s@db/x\nTOKEN_TTL=60\n"
        ),
        [
            "env_secret DB_PASSWORD=s3c",
            "- env_secret API_KEY placeholder",
            "- env_secret SMTP_PASSWORD empty",
            "env_secret URL=p4s",
        ]
    );
    assert!(recognise::in_home(b".env.example").is_none());
    assert_eq!(
        home(
            ".bashrc",
            "export GITHUB_TOKEN=t0k9z; alias x=y\nexport PASS_CMD=$(pass x)\nPASSWORD=$1\nexport SECRET=$(pass show s)\n"
        ),
        [
            "shell_secret GITHUB_TOKEN=t0k9z",
            "- shell_secret PASSWORD indirect",
            "- shell_secret SECRET indirect"
        ]
    );
    assert_eq!(
        system(
            "etc/systemd/system/app.service",
            "[Service]\nUser=app\nEnvironment=\"DB_PASSWORD=s 3c\" LOG=debug\nEnvironmentFile=-/etc/app.conf\nWorkingDirectory=/opt/app\n\
             ExecStart=/opt/app/run --api-token=t0k9 --port 1 --password hunt3r --token-file /x\nSetCredential=db:s3c\nLoadCredential=tls:/etc/tls\n"
        ),
        [
            "unit_secret DB_PASSWORD=s 3c",
            "> /etc/app.conf",
            "> /opt/app/.env",
            "unit_secret api-token=t0k9",
            "unit_secret password=hunt3r",
            "systemd_credential db=s3c",
            "> /etc/tls",
        ]
    );
    assert_eq!(
        system(
            "opt/app/docker-compose.yml",
            "services:\n  db:\n    environment:\n      POSTGRES_PASSWORD: s3c\n      POSTGRES_DB: x\n  web:\n    environment:\n      - API_TOKEN=t0k9\n"
        ),
        [
            "env_secret POSTGRES_PASSWORD=s3c",
            "env_secret API_TOKEN=t0k9"
        ]
    );
    assert_eq!(
        system("etc/credstore/db", "s3c\n"),
        ["systemd_credential db=s3c"]
    );
    assert_eq!(
        home(
            ".ssh/config",
            "Host *\n  IdentityFile ~/.keys/work\n  IdentityFile=\"%d/x y\"\n  IdentityFile ~/.ssh/%h\n"
        ),
        ["> ~/.keys/work", "> ~/x y"]
    );
}
