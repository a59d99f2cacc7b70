/**
 * The grammar of `.egress` files for tree-sitter: what editors highlight, fold, indent and select by.
 *
 * Its nodes follow `docs/language.md`. It knows the form of addresses, prefixes, ports and dates, not their bounds:
 * `10.0.0.0/99` is a prefix here and an error of the compiler.
 *
 * After a change: `./dev tree-sitter` in the repository's folder writes `src/` anew.
 */

/// <reference types="tree-sitter-cli/dsl" />

const ADDRESS = '([0-9][0-9A-Fa-f:.]*|[A-Fa-f][0-9A-Fa-f]*:[0-9A-Fa-f:.]*|:[0-9A-Fa-f:.]+)';

export default grammar({
  name: 'egress',

  // A keyword is one only where the language wants it there: `workloads policy = all` names a set `policy`.
  word: $ => $.name,

  extras: $ => [/[\s\u{feff}\u{a0}\u{85}\p{White_Space}]/u, $.comment, $.doc_comment],

  supertypes: $ => [$.declaration, $.rule, $.workload_term, $.destination_term, $.port_term],

  rules: {
    source_file: $ => repeat($.declaration),

    declaration: $ => choice(
      $.cluster, $.workloads, $.destinations, $.ports, $.gateway, $.policy, $.guardrail, $.control, $.assertion,
    ),

    // --- declarations

    cluster: $ => seq('cluster', field('name', $.name), field('body', $.cluster_body)),
    cluster_body: $ => seq('{', repeat(choice($.ranges, $.dns)), '}'),
    ranges: $ => seq(choice('pods', 'services', 'nodes'), list(choice($.address, $.prefix))),
    dns: $ => seq('dns', $.workload_set),

    workloads: $ => seq('workloads', field('name', $.name), '=', field('value', $.workload_set)),
    destinations: $ => seq('destinations', field('name', $.name), '=', field('value', $.destination_set)),
    ports: $ => seq('ports', field('name', $.name), '=', field('value', $.port_set)),

    gateway: $ => seq('gateway', field('name', $.name), field('body', $.gateway_body)),
    gateway_body: $ => seq('{', repeat(choice($.gateway_nodes, $.gateway_addresses)), '}'),
    gateway_nodes: $ => seq('nodes', $.selector),
    gateway_addresses: $ => seq('address', list($.gateway_address)),
    gateway_address: $ => seq($.address, optional('managed')),

    policy: $ => seq('policy', field('name', $.name), field('body', $.policy_body)),
    policy_body: $ => seq('{', repeat(choice($._setting, $.rule)), '}'),
    guardrail: $ => seq('guardrail', field('name', $.name), field('body', $.guardrail_body)),
    // A guardrail only forbids.
    guardrail_body: $ => seq('{', repeat(choice($._setting, $.deny)), '}'),

    control: $ => seq('control', field('id', $.string), field('title', $.string), field('body', $.control_body)),
    control_body: $ => seq('{', repeat($.assertion), '}'),

    // --- what policies and guardrails hold

    _setting: $ => choice($.for, $.owner, $.mode),
    for: $ => seq('for', $.workload_set),
    owner: $ => seq('owner', $.string),
    mode: $ => seq('mode', 'audit'),

    rule: $ => choice($.allow, $.deny),
    // The clauses come in any order.
    allow: $ => seq('allow', $.destination_set, repeat(choice($._clause, $.via))),
    deny: $ => seq('deny', $.destination_set, repeat($._clause)),

    _clause: $ => choice($.on, $.log, $.because, $.ticket, $.until),
    on: $ => seq('on', $.port_set),
    via: $ => seq('via', field('gateway', $.name)),
    log: _ => 'log',
    because: $ => seq('because', $.string),
    ticket: $ => seq('ticket', $.string),
    until: $ => seq('until', $.date),

    // --- assertions

    assertion: $ => seq(
      'assert',
      choice(
        seq('only', field('from', $.workload_set), 'can', 'reach', field('to', $.destination_set),
          repeat(choice($.on, $.because))),
        seq(field('from', $.workload_set), 'cannot', 'reach', field('to', $.destination_set),
          repeat(choice($.on, $.because))),
        seq(field('from', $.workload_set), 'can', 'reach', 'only', field('to', $.destination_set),
          repeat(choice($.on, $.because))),
        seq(field('from', $.workload_set), 'can', 'reach', field('to', $.destination_set),
          repeat(choice($.on, $.because, $.only_via))),
      ),
    ),
    only_via: $ => seq('only', 'via', field('gateway', $.name)),

    // --- workload sets

    workload_set: $ => seq(list($.workload_term), optional(alias($._workload_except, $.except))),
    _workload_except: $ => seq('except', list($.workload_term)),
    workload_term: $ => choice($.all, $.pods, $.source_address, $.name, alias($._workload_group, $.group)),
    _workload_group: $ => seq('(', $.workload_set, ')'),
    all: _ => 'all',
    pods: $ => seq('pods', optional($.selector), repeat(choice($.in_namespace, $.as_serviceaccount))),
    in_namespace: $ => seq('in', choice(
      seq('namespace', field('namespace', $._kubernetes_name)),
      seq('namespaces', $.selector),
    )),
    as_serviceaccount: $ => seq('as', 'serviceaccount', field('account', $._kubernetes_name)),
    source_address: $ => seq('address', choice($.address, $.prefix)),
    _kubernetes_name: $ => choice(alias($._word, $.kubernetes_name), $.string),

    // --- label selectors, as after `kubectl -l`

    selector: $ => seq('(', list($.requirement), ')'),
    requirement: $ => choice(
      seq(field('operator', '!'), field('key', $._key)),
      field('key', $._key),
      seq(field('key', $._key), field('operator', choice('=', '==', '!=')), optional(field('value', $._value))),
      seq(field('key', $._key), field('operator', choice('in', 'notin')), '(', list(field('value', $._value)), ')'),
    ),
    _key: $ => alias($._word, $.label_key),
    _value: $ => alias($._word, $.label_value),

    // --- destination sets

    destination_set: $ => seq(list($.destination_term), optional(alias($._destination_except, $.except))),
    _destination_except: $ => seq('except', list($.destination_term)),
    destination_term: $ => choice(
      $.world, $.private, $.host, $.list, $.address, $.prefix, $.range, $.name, alias($._destination_group, $.group),
    ),
    _destination_group: $ => seq('(', $.destination_set, ')'),
    world: _ => 'world',
    private: _ => 'private',
    host: $ => seq('host', choice(alias($._word, $.host_pattern), $.string)),
    list: $ => seq('list', field('path', $.string), optional($.filters)),
    filters: $ => seq('(', list($.filter), ')'),
    filter: $ => seq(
      field('key', alias($._word, $.filter_key)), '=', field('value', choice(alias($._word, $.filter_value), $.string)),
    ),

    // --- port sets

    port_set: $ => list($.port_term),
    port_term: $ => choice($.any, $.protocol, $.port, $.name),
    any: _ => 'any',
    protocol: _ => choice('tcp', 'udp', 'sctp', 'icmp', 'icmpv6'),
    port: _ => token(choice(/[0-9]+(-[0-9]+)?\/(tcp|udp|sctp)/, /icmp(v6)?\/[0-9]+/)),

    // --- words

    name: _ => /[a-z][a-z0-9-]*/,
    address: _ => new RegExp(ADDRESS),
    prefix: _ => new RegExp(`${ADDRESS}/[0-9]+`),
    range: _ => new RegExp(`${ADDRESS}-${ADDRESS}`),
    date: _ => /[0-9]{4}-[0-9]{2}-[0-9]{2}/,
    // What the compiler's lexer calls a word; what it may be is said by where it stands.
    _word: _ => /[\p{L}\p{N}._:\/*%-]+/u,

    // Above comments in rank: a `#` in a string starts none.
    string: $ => seq('"', repeat(choice($.escape, $._text)), token.immediate('"')),
    _text: _ => token.immediate(prec(2, /[^"\\\n]+/)),
    escape: _ => token.immediate(/\\(["\\n]|u\{[0-9A-Fa-f]{1,6}\})/),

    // Two `#` and no third.
    doc_comment: _ => token(choice('##', /##[^#\n][^\n]*/)),
    comment: _ => token(choice('#', /#[^#\n][^\n]*/, /###[^\n]*/)),
  },
});

/** One or more, joined by commas. */
function list(rule) {
  return seq(rule, repeat(seq(',', rule)));
}
