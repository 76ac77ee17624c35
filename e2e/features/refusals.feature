@node
Feature: A refusal arrives, also at a client that is still sending

  Scenario: The clients that people use
    Given a network with 1 supplier
    And a gateway that relays one call at a time
    When node's fetch, ethers and viem, Python's requests and curl send what is refused, while the gateway is busy
    Then each of them sees every refusal
