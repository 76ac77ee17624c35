@node
Feature: A real node and a real client library

  Scenario: viem uses an EVM node through the gateway
    Given a network whose backend is a real EVM node
    When a dApp written with viem reads, sends a transaction and batches
    Then the dApp is content
    And every one of its calls is a leaf of the session's trie
