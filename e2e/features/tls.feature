Feature: Every hop is TLS

  Scenario: A relay is paid over TLS
    Given a network with 1 supplier whose hops are TLS
    And every claim must be proved
    When the dApp makes 5 calls within one session
    Then no role answers without TLS
    And every role's URLs are https
    And the supplier claims 5 relays of 100 compute units each
    And the claim is proved and settles 21000 upokt
