//! The command line's grammar.

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use xdp_lb::model::Protocol;

/// See and control the XDP load balancer of this node.
///
/// Asks lb-agent; when it does not answer, reads the pinned maps, so that names, weights and health are missing.
/// Exit codes: 0 done, 1 a finding (not found, not well, not forwarded), 2 wrong usage or a failure.
#[derive(Debug, Parser)]
#[command(name = "lbctl", version)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// How to print data.
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub(crate) output: Format,
    /// Socket of lb-agent's control API.
    #[arg(long, global = true, env = "LB_SOCKET", default_value = lb_api::DEFAULT_SOCKET, value_name = "PATH")]
    pub(crate) socket: PathBuf,
    /// BPF file system that holds the pins [default: the agent's, or /sys/fs/bpf when it does not answer].
    #[arg(long, global = true, env = "LB_BPFFS", value_name = "DIR")]
    pub(crate) bpffs: Option<PathBuf>,
}

/// How to print data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// More columns, and exact numbers of bytes.
    Wide,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Whether all is well: the agent, interfaces, problems, packets by reason. Exits with 1 if there is a problem.
    Status,
    /// Services: VIP address, port and protocol.
    #[command(subcommand)]
    Vip(Vip),
    /// Backends over all services.
    #[command(subcommand)]
    Backend(Backend),
    /// Packets and bytes by VIP, reason and backend.
    Stats(Stats),
    /// Ask the program itself what it does with a flow. Exits with 1 if it does not forward it.
    Explain(Explain),
    /// Stop forwarding: detach the program from every interface and remove all maps.
    Detach(Detach),
    /// Versions of lbctl and of the running agent.
    Version,
    /// Print a completion script for a shell.
    Completion {
        /// For which shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Vip {
    /// All services.
    List,
    /// Services with their backends. Exits with 1 if there is none.
    Show {
        /// ADDRESS:PORT/PROTOCOL, ADDRESS:PORT, ADDRESS, or a name of the config; IPv6 in brackets before a port.
        vip: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Backend {
    /// All backends.
    List,
}

#[derive(Args, Debug)]
pub(crate) struct Stats {
    /// Print rates per second again and again, until Ctrl-C.
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Time between two prints, such as 500ms, 2s or 1m.
    #[arg(long, default_value = "1s", requires = "watch", value_parser = interval, value_name = "TIME")]
    pub(crate) interval: Duration,
}

#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// The client.
    #[arg(long, value_parser = endpoint, value_name = "ADDRESS:PORT")]
    pub(crate) from: SocketAddr,
    /// The service.
    #[arg(long, value_parser = endpoint, value_name = "VIP:PORT")]
    pub(crate) to: SocketAddr,
    /// The protocol; for TCP the packet is a SYN.
    #[arg(long, value_parser = PossibleValuesParser::new(["tcp", "udp"]).try_map(|name| Protocol::from_str(&name)))]
    pub(crate) protocol: Protocol,
    /// Where the packet comes in [default: the first interface that the program runs on].
    #[arg(long, value_name = "NAME")]
    pub(crate) interface: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Detach {
    /// Do not ask.
    #[arg(short, long)]
    pub(crate) yes: bool,
}

fn endpoint(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "give ADDRESS:PORT, as in 192.0.2.10:80 or, with brackets, [2001:db8::10]:443".to_owned())
}

fn interval(text: &str) -> Result<Duration, String> {
    const REMEDY: &str = "give a whole number above 0 with ms, s or m, as in 500ms, 2s or 1m";
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u32 = number.parse().map_err(|_| REMEDY.to_owned())?;
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_mins(1),
        _ => return Err(REMEDY.to_owned()),
    };
    if number == 0 { Err(REMEDY.to_owned()) } else { Ok(unit * number) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use rstest::rstest;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_grammar_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_may_stand_after_the_command() {
        let cli = parse("lbctl vip list -o json --socket /tmp/s --bpffs /tmp/b").expect("a command line");
        assert_eq!(cli.global.output, Format::Json);
        assert_eq!((cli.global.socket, cli.global.bpffs), ("/tmp/s".into(), Some("/tmp/b".into())));
    }

    #[test]
    fn a_flow_is_two_addresses_and_a_protocol() {
        let line = "lbctl explain --from [2001:db8::1]:40000 --to [2001:db8::10]:443 --protocol udp";
        let Command::Explain(explain) = parse(line).expect("a command line").command else { panic!("not explain") };
        assert_eq!((explain.from.port(), explain.to.port()), (40_000, 443));
        assert_eq!((explain.protocol, explain.interface), (Protocol::Udp, None));
    }

    #[rstest]
    #[case::no_command("lbctl", "Usage")]
    #[case::no_brackets("lbctl explain --from 2001:db8::1:40000 --to 1.1.1.1:1 --protocol tcp", "brackets")]
    #[case::no_port("lbctl explain --from 192.0.2.1 --to 1.1.1.1:1 --protocol tcp", "ADDRESS:PORT")]
    #[case::other_protocol("lbctl explain --from 1.1.1.1:1 --to 1.1.1.1:1 --protocol sctp", "tcp, udp")]
    #[case::no_unit("lbctl stats --watch --interval 5", "500ms, 2s or 1m")]
    #[case::no_time("lbctl stats --watch --interval 0s", "above 0")]
    #[case::interval_alone("lbctl stats --interval 5s", "--watch")]
    #[case::other_format("lbctl status -o xml", "table, wide, json, yaml")]
    fn wrong_usage_is_refused_with_the_remedy(#[case] line: &str, #[case] remedy: &str) {
        let error = parse(line).expect_err("wrong usage");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(remedy), "{error}");
    }

    #[rstest]
    #[case("500ms", Duration::from_millis(500))]
    #[case("2s", Duration::from_secs(2))]
    #[case("3m", Duration::from_mins(3))]
    fn an_interval_is_a_number_and_a_unit(#[case] text: &str, #[case] expected: Duration) {
        assert_eq!(interval(text), Ok(expected));
    }
}
