//! Good files and what they mean; reading from disk.

use std::{fs, path::Path};

use xdp_lb::model::{HashInput, Ports, Protocol};

use super::*;

fn service(address: &str, port: u16, protocol: Protocol) -> Service {
    Service::new(address.parse().expect("an address literal"), port, protocol)
}

fn backend(name: &str, address: &str, weight: u16) -> BackendConfig {
    let address = address.parse().expect("an address literal");
    BackendConfig { name: name.to_owned(), address, encapsulation: Mode::Ipip, weight }
}

#[test]
fn every_key_of_the_ingress_role_arrives_in_the_config() {
    let web = ServiceConfig {
        hash: HashInput::FiveTuple,
        name: "web".to_owned(),
        backends: vec![backend("web-1", "10.0.0.11", 0), backend("web-2", "2001:db8::12", 1000)],
        check: Some(CheckTemplate {
            kind: TemplateKind::Http {
                path: "/healthz?full=1".to_owned(),
                host: Some("web.example".to_owned()),
                status: StatusRange { first: 200, last: 299 },
            },
            port: Some(8080),
            interval: Duration::from_mins(1),
            timeout: Duration::from_millis(500),
            rise: 1,
            fall: 100,
        }),
    };
    let dns = ServiceConfig {
        hash: HashInput::FiveTuple,
        name: "dns".to_owned(),
        backends: vec![backend("dns-1", "10.0.0.21", 100)],
        check: Some(CheckTemplate {
            kind: TemplateKind::Tcp,
            port: Some(5353),
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
        }),
    };
    let expected = Config {
        role: Role::Ingress,
        node: Node {
            bpffs: "/mnt/bpf".into(),
            api_socket: "/run/lb/api.sock".into(),
            metrics: "[::1]:9000".parse().expect("an address literal"),
        },
        interfaces: vec![Interface { name: "eth0".to_owned(), mode: ModeChoice::Generic, line: 7 }],
        forwarding: Forwarding { hash_seed: 0x5ca1_ab1e, decrement_ttl: false, check_tcp_flags: false, gue_port: 6080 },
        icmp: Icmp { echo_reply: false, too_big_reply: false, rate: 50 },
        services: BTreeMap::from([
            (service("192.0.2.10", 80, Protocol::Tcp), web.clone()),
            (service("192.0.2.10", 443, Protocol::Tcp), web),
            (service("2001:db8:1::10", 53, Protocol::Udp), dns),
        ]),
        backend: None,
        log: Log { format: LogFormat::Json, level: tracing::Level::DEBUG },
    };
    assert_eq!(parse(INGRESS), Ok(expected));
}

#[test]
fn every_key_of_the_backend_role_arrives_in_the_config() {
    let config = parse(BACKEND).expect("a good config");
    let addresses = |list: [&str; 2]| list.map(|address| address.parse().expect("an address literal")).to_vec();
    let expected = BackendRole {
        tunnel_addresses: addresses(["10.0.0.11", "2001:db8::11"]),
        sources: ["10.0.0.0/24", "2001:db8::/64"].map(|prefix| prefix.parse().expect("a prefix literal")).to_vec(),
        vips: addresses(["192.0.2.10", "2001:db8:1::10"]),
        gue_port: 6636,
    };
    assert_eq!((config.role, config.backend), (Role::Backend, Some(expected)));
    assert!(config.services.is_empty());
}

#[test]
fn a_pool_and_a_backend_may_state_their_own_encapsulation() {
    let text = INGRESS
        .replace("encapsulation: ipip", "encapsulation: l2")
        .replace("check_tcp_flags: false", "check_tcp_flags: false\n  gue_port: 6635")
        .replace("  - name: web-pool\n", "  - name: web-pool\n    encapsulation: gue\n")
        .replace("weight: 1000}", "weight: 1000, encapsulation: local}");
    let config = parse(&text).expect("a good config");
    let of = |service| config.services[&service].backends.iter().map(|b| b.encapsulation).collect::<Vec<_>>();
    assert_eq!(of(service("192.0.2.10", 80, Protocol::Tcp)), [Mode::Gue, Mode::Local]);
    assert_eq!(of(service("2001:db8:1::10", 53, Protocol::Udp)), [Mode::L2]);
    assert_eq!(config.forwarding.gue_port, 6635);
    let ways: Vec<String> = config.destinations().iter().map(ToString::to_string).collect();
    assert_eq!(ways, ["10.0.0.11", "10.0.0.21"], "there is no way to oneself");
}

#[test]
fn what_is_not_written_has_its_default() {
    let config = parse(BACKEND).expect("a good config");
    assert_eq!((config.node, config.forwarding, config.icmp, config.log), Default::default());
    assert_eq!(config.interfaces, [Interface { name: "eth0".to_owned(), mode: ModeChoice::Native, line: 2 }]);
}

#[test]
fn a_health_check_of_one_line_has_defaults_for_the_rest() {
    let text = INGRESS.replace("{type: tcp, port: 5353, interval: 2s}", "{type: http}");
    let config = parse(&text).expect("a good config");
    let check = config.services[&service("2001:db8:1::10", 53, Protocol::Udp)].check.clone();
    let status = StatusRange { first: 200, last: 399 };
    let expected = CheckTemplate {
        kind: TemplateKind::Http { path: "/".to_owned(), host: None, status },
        port: None,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        rise: 2,
        fall: 3,
    };
    assert_eq!(check, Some(expected));
}

#[test]
fn a_pool_that_no_vip_uses_is_no_error() {
    let text = INGRESS.replace("pools:\n", "pools:\n  - {name: spare, backends: [{name: a, address: 10.0.0.9}]}\n");
    assert_eq!(errors(&text), [""; 0]);
}

#[test]
fn every_example_in_configs_is_a_good_config() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let mut seen = Vec::new();
    for entry in fs::read_dir(directory).expect("configs/ is beside the crates") {
        let path = entry.expect("a directory entry").path();
        // An agent's config begins with its role; manifests of other programs may lie beside it.
        let text = fs::read_to_string(&path).expect("configs/ holds text files");
        let is_agent_config = text.lines().any(|line| line.starts_with("role:"));
        if path.extension().is_some_and(|extension| extension == "yaml") && is_agent_config {
            if let Err(error) = load(&path) {
                panic!("{error}");
            }
            seen.extend(path.file_name().and_then(|name| name.to_str()).map(str::to_owned));
        }
    }
    for name in ["ingress.yaml", "backend.yaml", "minimal.yaml"] {
        assert!(seen.iter().any(|file| file == name), "{name} is not among {seen:?}");
    }
}

#[test]
fn the_smallest_example_has_ten_lines() {
    let text = include_str!("../../../../configs/minimal.yaml");
    assert_eq!(text.lines().count(), 10, "the README shows it as a config of ten lines");
}

#[test]
fn a_missing_file_is_named() {
    let error = load(Path::new("/nonexistent/lb.yaml")).expect_err("there is no such file");
    assert_eq!(
        error.to_string(),
        "/nonexistent/lb.yaml: cannot read the config file; name a file that exists and that this user may read"
    );
}

#[test]
fn every_error_of_a_file_is_a_line_that_begins_with_its_place() {
    let path = std::env::temp_dir().join(format!("lb-agent-config-{}.yaml", std::process::id()));
    fs::write(&path, "role: edge\ninterfaces: []\n").expect("the temporary directory is writable");
    let error = load(&path).expect_err("the file has errors").to_string();
    fs::remove_file(&path).expect("the file was just written");
    let name = path.display();
    assert_eq!(
        error,
        format!(
            "{name}:1:7: `edge` is not a role; known here: ingress, backend, both\n\
             {name}:2:13: this list is empty; add an element, or remove what needs none"
        )
    );
}

#[test]
fn bytes_that_are_not_utf8_have_a_place() {
    let path = std::env::temp_dir().join(format!("lb-agent-utf8-{}.yaml", std::process::id()));
    fs::write(&path, b"role: ingress\nlog: \xff\n").expect("the temporary directory is writable");
    let error = load(&path).expect_err("the file is not UTF-8").to_string();
    fs::remove_file(&path).expect("the file was just written");
    assert_eq!(error, format!("{}:2:6: byte 0xff is not UTF-8; save the file as UTF-8", path.display()));
}

#[test]
fn ports_are_single_or_ranges_or_any() {
    let services = |ports: &str| {
        let text = INGRESS.replace("ports: [53]", &format!("ports: {ports}\n    hash: source-address"));
        let config = parse(&text).expect("a config without errors");
        let dns = config.services.into_iter().filter(|(_, settings)| settings.name == "dns");
        dns.map(|(service, settings)| {
            assert_eq!(settings.hash, HashInput::SourceAddress);
            service.ports
        })
        .collect::<Vec<_>>()
    };
    let ports = |range| Ports::new(range).expect("ports");
    assert_eq!(services("any"), [Ports::ANY]);
    assert_eq!(services("[53, 8000-8999, 60-60]"), [ports(53..=53), ports(60..=60), ports(8000..=8999)]);
    assert_eq!(services("[1-65535]"), [Ports::ANY]);
}

#[test]
fn a_single_port_may_lie_in_the_range_of_another_vip() {
    let both = INGRESS.replace(
        "address: 2001:db8:1::10\n    ports: [53]\n    protocol: udp",
        "address: 192.0.2.10\n    ports: any\n    protocol: tcp",
    );
    assert_ne!(both, INGRESS);
    assert_eq!(parse(&both).expect("a config without errors").services.len(), 3);
}
