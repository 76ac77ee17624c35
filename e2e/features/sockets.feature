@node
Feature: A dApp's WebSocket outlives what is beneath it

  Scenario: Subscriptions of viem and ethers miss nothing and repeat nothing over rollovers
    Given a network whose EVM node takes WebSockets
    When 4 clients of viem and of ethers each listen over 2 rollovers
    Then the dApp is content

  Scenario: Feeds go on when a servicer is killed and blocks are replaced
    Given a network with two servicers, whose EVM node takes WebSockets and can be reorganized
    When 20 clients follow blocks and logs over 2 rollovers, while a servicer is killed and blocks are replaced
    Then the dApp is content

  @nightly
  Scenario: A hundred feeds go on over five rollovers
    Given a network with two servicers, whose EVM node takes WebSockets and can be reorganized
    When 100 clients follow blocks and logs over 5 rollovers, while a servicer is killed and blocks are replaced
    Then the dApp is content
