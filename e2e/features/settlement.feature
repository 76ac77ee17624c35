Feature: A session is claimed, proved and settled to the last upokt

  Scenario: Every relay is paid exactly
    Given a network with 1 supplier
    And every claim must be proved
    Then the servicer's check finds nothing that keeps it from earning
    And the check of a configuration without the staked service says so
    When the dApp makes 20 calls within one session
    Then the supplier claims 20 relays of 100 compute units each
    And the claim is proved and settles 84000 upokt
    And every balance moved as the default distribution says
    And the supply is what was minted and burned
    And the servicer's ledger agrees with events and balances, while it runs and when it is stopped

  Scenario: A claim that needs no proof settles without one
    Given a network with 1 supplier
    And no claim must be proved
    When the dApp makes 5 calls within one session
    Then the claim settles 21000 upokt without a proof
