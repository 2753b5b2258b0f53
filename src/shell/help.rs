//! What `--help` prints: at most 40 lines of 80 columns. The three commands share how to reach a
//! broker.

/// `tty2mqtt pub --help`
pub(super) const PUBLISH: &str = "\
tty2mqtt pub: publishes, and ends when the broker has it.
What mosquitto_pub takes works here too.

Usage: tty2mqtt pub [OPTIONS] -t TOPIC {-m TEXT | -f FILE | -s | -l | -n}

  -t, --topic TOPIC     where to; repeatable  -L mqtt://HOST/TOPIC  both at once
  -m, --message TEXT    this                  -f, --file FILE       a file
  -s  standard input as one message           -l  line by line
  -n, --null-message    an empty message      -r, --retain          to be kept
  -q, --qos 0|1|2       [0]; several -q: one for each -t
      --repeat N        so many times         --repeat-delay SECONDS
";

/// `tty2mqtt sub --help`
pub(super) const SUBSCRIBE: &str = "\
tty2mqtt sub: prints messages. What mosquitto_sub takes works here too.

Usage: tty2mqtt sub [OPTIONS] -t TOPIC...

  -t, --topic TOPIC     repeatable            -L mqtt://HOST/TOPIC  host too
  -q, --qos 0|1|2       [0]; several -q: one for each -t
  -v, --verbose         topic in front        -N  no line break behind
      --json            an object each        --pretty  on many lines
  -F FORMAT             such as '@H:@M %t %p'; docs/SHELL.md has all
  -C, --count N         end after so many     -W SECONDS            or then (27)
  -E  end when subscribed                     -U TOPIC              unsubscribe
  -T, --filter-out TOPIC  do not print        -R  nor what was retained
      --retained-only   end at the first that is not    --remove-retained
      --retain-as-published  --no-local       --random-filter PERCENT
";

/// `tty2mqtt test --help`
pub(super) const TEST: &str = "\
tty2mqtt test: publishes to test/1, prints what comes on test/2 until `quit`.
With --self-check: takes each step to a broker and back, says what is wrong.

Usage: tty2mqtt test [OPTIONS] HOST
       tty2mqtt test [OPTIONS] mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT]

      --self-check      name, TCP, TLS, login, a message with each QoS
      --json            the same, as JSON
  -t, --topic TOPIC     instead of test/1     --listen TOPIC        of test/2
";

/// What all three have.
const CONNECTION: &str = "
  -h, --host HOST       [localhost]           -p, --port PORT       [1883, 8883]
  -u, --username NAME   --password-file FILE (-: standard input)
                        or --password-env VARIABLE, or -P PASSWORD
  -V 5|311|31|auto      MQTT version [311]    -i, --id ID
  -c  keep the session                        -x SECONDS  for so long (5)
  -k, --keepalive SECONDS [60; --ws 45]       -M COUNT    in flight [1000]
      --cafile FILE     TLS; or --capath, --tls-use-os-certs, --fingerprint
      --cert FILE       --key FILE            --key-password-file FILE
      --insecure        check no certificate, and log in with none
      --tls-alpn NAME   --tls-version tlsv1.3 --proxy socks5h://HOST, http://
      --ws, --ws-path PATH                    --unix SOCKET
  -A ADDRESS            our own               --bind-device NAME    -4, -6
      --will-topic TOPIC --will-payload TEXT --will-qos 0|1|2 --will-retain
  -D PACKET NAME VALUE  a property, as in -D PUBLISH content-type text/plain
  -o FILE               options, one a line   -W, --timeout SECONDS
  -d, --debug           print packets         --quiet               no errors
";

const CODES: &str = "
Exit codes: 0 done, 1 local, 2 usage, 14 TCP, 15 name, 16 proxy, 8 TLS, 7 lost,
19 silent, 21 no MQTT, 25 too large, 27 time out, 3-5 and 128-162 refused.
";

/// A command's help with an example.
pub(super) fn of(own: &str, example: &str) -> String {
    format!("{own}{CONNECTION}{CODES}Example: {example}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fits_a_screen() {
        for own in [PUBLISH, SUBSCRIBE, TEST] {
            let help = of(own, "tty2mqtt");
            assert!(help.lines().count() <= 40, "{} lines\n{help}", help.lines().count());
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }
}
