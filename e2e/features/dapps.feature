@node
Feature: Client libraries of other chains and languages, a browser and a proxy, which we did not write

  Scenario: Solana's kit pays and listens over a rollover
    Given a network whose backend is a Solana node
    When a dApp written with Solana's kit pays and listens over a rollover
    Then the dApp is content

  Scenario: CosmJS pays and listens over a rollover, every hop TLS
    Given a network with 2 suppliers whose hops are TLS
    When a dApp written with CosmJS pays and listens over a rollover
    Then the dApp is content

  Scenario: web3.py pays, batches and listens
    Given a network whose EVM node takes WebSockets
    When a dApp written with web3.py pays, batches and listens
    Then the dApp is content

  Scenario: A page in a browser fetches, listens to events and opens a WebSocket
    Given a network whose gateway lets the pages of one origin use an EVM node and an event server
    When a page in a browser fetches, listens to events and opens a WebSocket, and one of another origin tries to
    Then the dApp is content

  Scenario: What a proxy compressed before the node arrives as the node said it
    Given a network whose EVM node is behind nginx, which speaks TLS and compresses, and takes batches whole
    When a dApp reads large answers over HTTP and a WebSocket
    Then the dApp is content
