//! `sparkplug_b.tsv` has a row for every statement of Sparkplug 3.0.0 to edge nodes, the tests that it names exist, and
//! docs/FORMATS.md says how many there are.

use super::matrix;
use std::collections::BTreeSet;

/// The statements that the standard addresses to edge nodes: the beginnings of their names, and the rests.
const STATEMENTS: &[(&str, &str)] = &[
    (
        "intro-",
        "group-id-string group-id-chars edge-node-id-string edge-node-id-chars \
         device-id-string device-id-chars edge-node-id-uniqueness",
    ),
    (
        "principles-",
        "rbe-recommended birth-certificates-order persistence-clean-session-311 \
         persistence-clean-session-50",
    ),
    ("", "topic-structure"),
    (
        "topic-structure-namespace-",
        "a valid-group-id unique-edge-node-descriptor valid-edge-node-id valid-device-id \
         unique-device-id duplicate-device-id-across-edge-node \
         device-id-associated-message-types device-id-non-associated-message-types",
    ),
    (
        "topics-nbirth-",
        "topic mqtt seq-num timestamp metric-reqs metrics templates bdseq-included \
         bdseq-matching bdseq-increment rebirth-metric",
    ),
    ("topics-ndata-", "topic mqtt seq-num timestamp payload"),
    ("topics-ndeath-", "topic payload seq"),
    ("topics-ncmd-", "topic"),
    ("topics-dbirth-", "topic mqtt seq timestamp metric-reqs metrics"),
    ("topics-ddata-", "topic mqtt seq-num timestamp payload"),
    ("topics-ddeath-", "topic mqtt seq-num"),
    ("topics-dcmd-", "topic"),
    ("case-sensitivity-", "sparkplug-ids metric-names"),
    ("message-flow-edge-node-", "ncmd-subscribe"),
    (
        "message-flow-edge-node-birth-publish-",
        "connect will-message will-message-topic will-message-payload will-message-qos \
         will-message-will-retained will-message-payload-bdSeq phid-wait phid-wait-id \
         phid-wait-online phid-wait-timestamp nbirth-topic nbirth-payload nbirth-qos \
         nbirth-retained nbirth-payload-seq nbirth-payload-bdSeq phid-offline",
    ),
    (
        "operational-behavior-edge-node-",
        "intentional-disconnect-ndeath intentional-disconnect-packet termination-host-offline \
         termination-host-offline-reconnect termination-host-offline-timestamp \
         birth-sequence-wait",
    ),
    ("message-flow-device-", "dcmd-subscribe"),
    (
        "message-flow-device-birth-publish-",
        "nbirth-wait dbirth-topic dbirth-match-edge-node-topic dbirth-payload dbirth-qos \
         dbirth-retained dbirth-payload-seq",
    ),
    ("operational-behavior-", "device-ddeath"),
    ("operational-behavior-primary-application-state-with-multiple-servers-", "single-server walk"),
    (
        "operational-behavior-data-publish-",
        "nbirth nbirth-values nbirth-change nbirth-order dbirth dbirth-values dbirth-change \
         dbirth-order",
    ),
    (
        "operational-behavior-data-commands-",
        "rebirth-name rebirth-name-aliases rebirth-datatype rebirth-value rebirth-action-1 \
         rebirth-action-2 rebirth-action-3",
    ),
    (
        "payloads-",
        "timestamp-in-UTC sequence-num-always-included sequence-num-req-nbirth \
         sequence-num-incrementing name-requirement name-birth-data-requirement",
    ),
    ("payloads-alias-", "uniqueness birth-requirement data-cmd-requirement"),
    (
        "payloads-metric-",
        "timestamp-in-UTC datatype-value-type datatype-value datatype-req datatype-not-req \
         propertyvalue-type-type propertyvalue-type-value propertyvalue-type-req",
    ),
    (
        "payloads-propertyset-",
        "keys-array-size values-array-size quality-value-type quality-value-value",
    ),
    (
        "payloads-dataset-",
        "column-size column-num-headers types-def types-num types-type types-value \
         parameter-type-req",
    ),
    (
        "payloads-template-",
        "dataset-value definition-nbirth-only definition-is-definition definition-ref \
         definition-members definition-nbirth definition-parameters \
         definition-parameters-default instance-is-definition instance-ref instance-members \
         instance-members-birth instance-members-data instance-parameters version \
         ref-definition ref-instance is-definition is-definition-definition \
         is-definition-instance parameter-name-required parameter-name-type \
         parameter-value-type parameter-type-value parameter-type-req parameter-value",
    ),
    (
        "payloads-nbirth-",
        "timestamp edge-node-descriptor seq qos retain rebirth-req bdseq bdseq-repeat",
    ),
    ("payloads-dbirth-", "timestamp seq seq-inc qos retain order"),
    ("payloads-ndata-", "timestamp seq seq-inc order qos retain"),
    ("payloads-ddata-", "timestamp seq seq-inc order qos retain"),
    (
        "payloads-ndeath-",
        "seq will-message will-message-qos will-message-retain bdseq will-message-publisher \
         will-message-publisher-disconnect-mqtt311 will-message-publisher-disconnect-mqtt50",
    ),
    ("payloads-ddeath-", "timestamp seq seq-inc seq-number"),
];

/// The statement, its tests, and why there are none or what they do not cover.
fn rows() -> Vec<(&'static str, Vec<&'static str>, &'static str)> {
    let lines = include_str!("sparkplug_b.tsv").lines().filter(|line| !line.starts_with('#'));
    let row = |line: &'static str| {
        let mut fields = line.split('\t');
        let (id, tests) = (fields.next().unwrap(), fields.next().unwrap_or_default());
        let tests = tests.split(' ').filter(|test| *test != "-").collect();
        (id, tests, fields.next().unwrap_or_default())
    };
    lines.map(row).collect()
}

#[test]
fn every_statement_has_one_row() {
    let statements = STATEMENTS
        .iter()
        .flat_map(|(begin, ends)| ends.split_whitespace().map(move |end| format!("{begin}{end}")));
    let statements: BTreeSet<String> = statements.collect();
    let rows: Vec<String> = rows().into_iter().map(|(id, ..)| id.to_owned()).collect();
    assert_eq!(rows.len(), statements.len());
    assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), statements);
}

#[test]
fn every_row_names_tests_that_exist_or_a_reason() {
    let tests = matrix::all();
    for (id, named, reason) in rows() {
        assert!(!named.is_empty() || !reason.is_empty(), "{id}: neither a test nor a reason");
        for test in named {
            assert!(tests.contains(test), "{id}: there is no {test}");
        }
    }
}

#[test]
fn the_manual_counts_them() {
    let all = rows();
    let is_unmet = |reason: &str| reason.starts_with("not met");
    let unmet: Vec<_> = all.iter().filter(|(.., reason)| is_unmet(reason)).collect();
    let met = all.iter().filter(|(_, tests, _)| !tests.is_empty()).count();
    let said = format!(
        "{} statements to edge nodes: {met} are met and tested, {} do not apply, {} are not met",
        all.len(),
        all.len() - met - unmet.len(),
        unmet.len()
    );
    let manual = include_str!("../../../docs/FORMATS.md").split_whitespace().collect::<Vec<_>>();
    assert!(manual.join(" ").contains(&said), "docs/FORMATS.md does not say: {said}");
    for (id, ..) in unmet {
        assert!(
            manual.iter().any(|word| word.trim_matches(['`', ',', ';', ':', '.']) == *id),
            "{id}"
        );
    }
}
