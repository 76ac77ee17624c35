@node
Feature: A dApp's WebSocket outlives what is beneath it

  Scenario: Subscriptions of viem and ethers miss nothing and repeat nothing over rollovers
    Given a network whose EVM node takes WebSockets
    When 4 clients of viem and of ethers each listen over 2 rollovers
    Then the dApp is content
