// SPDX-License-Identifier: MIT
pragma solidity ^0.8.26;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";

/// A stand-in for Circle's USDC on Base Sepolia: the same EIP-712 domain, the
/// same EIP-3009 calls and events, six decimals, and a mint that is open to all.
///
/// chain.mjs moves the deployed code to USDC's own address. Code moves, storage
/// does not, so nothing here may rely on what the constructor stores: name and
/// symbol are answered from code, and OpenZeppelin's EIP712 keeps its name and
/// version in immutables and rebuilds the domain separator when it finds itself
/// at another address than the one it was constructed at.
contract UsdcToken is ERC20, ERC3009 {
    constructor() ERC20("", "") EIP712("USDC", "2") {}

    function name() public pure override returns (string memory) {
        return "USDC";
    }

    function symbol() public pure override returns (string memory) {
        return "USDC";
    }

    function version() external pure returns (string memory) {
        return "2";
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    function mint(address to, uint256 value) external {
        _mint(to, value);
    }
}
