;; Hashes of eight blocks at a time: `SeededBlockHasher` in plain JavaScript does the same, and is its oracle.
;; Made into simd-hash-code.ts by `npm run build:wasm`.
(module
  ;; Two pages: tokens from byte 0 on, results from byte 65,536 on.
  (memory (export "memory") 2 2)

  ;; Blocks of $blockSize tokens stand one after the other; $count of them is a multiple of eight. The result of each is two
  ;; words, one of each lane of the hash, that begin with $initA and $initB: the local hash. Results from byte $chained on
  ;; become chained ones, the first of which comes after the block of hash $parentA, $parentB.
  ;;
  ;; A multiplication takes ten cycles, and each has to wait for the one before: so two times four blocks go side by side,
  ;; and what is chained meanwhile, of the blocks before them, goes unnoticed.
  (func (export "hashes")
    (param $blockSize i32) (param $count i32)
    (param $initA i32) (param $initB i32) (param $multiplierA i32) (param $multiplierB i32)
    (param $chained i32) (param $parentA i32) (param $parentB i32)
    (local $block i32) (local $bytes i32) (local $end i32) (local $fours i32) (local $result i32) (local $links i32)
    (local $0 i32) (local $1 i32) (local $2 i32) (local $3 i32) (local $4 i32) (local $5 i32) (local $6 i32) (local $7 i32)
    (local $byA v128) (local $byB v128)
    ;; Lanes, tokens and scratch of the first four blocks, and of the other four.
    (local $a v128) (local $b v128) (local $token v128) (local $word v128)
    (local $otherA v128) (local $otherB v128) (local $otherToken v128) (local $otherWord v128)
    (local $row0 v128) (local $row1 v128) (local $row2 v128) (local $row3 v128)
    (local $low01 v128) (local $high01 v128) (local $low23 v128) (local $high23 v128)
    (local $otherLow01 v128) (local $otherHigh01 v128) (local $otherLow23 v128) (local $otherHigh23 v128)

    (local.set $bytes (i32.shl (local.get $blockSize) (i32.const 2)))
    (local.set $byA (i32x4.splat (local.get $multiplierA)))
    (local.set $byB (i32x4.splat (local.get $multiplierB)))
    (local.set $result (i32.const 65536))

    (block $done
      (loop $eight
        (br_if $done (i32.ge_s (local.get $block) (local.get $count)))
        (local.set $0 (i32.mul (local.get $block) (local.get $bytes)))
        (local.set $1 (i32.add (local.get $0) (local.get $bytes)))
        (local.set $2 (i32.add (local.get $1) (local.get $bytes)))
        (local.set $3 (i32.add (local.get $2) (local.get $bytes)))
        (local.set $4 (i32.add (local.get $3) (local.get $bytes)))
        (local.set $5 (i32.add (local.get $4) (local.get $bytes)))
        (local.set $6 (i32.add (local.get $5) (local.get $bytes)))
        (local.set $7 (i32.add (local.get $6) (local.get $bytes)))
        (local.set $end (local.get $1))
        ;; Where less than four tokens are left.
        (local.set $fours (i32.sub (local.get $1) (i32.and (local.get $bytes) (i32.const 15))))
        (local.set $a (i32x4.splat (local.get $initA)))
        (local.set $b (i32x4.splat (local.get $initB)))
        (local.set $otherA (i32x4.splat (local.get $initA)))
        (local.set $otherB (i32x4.splat (local.get $initB)))

        ;; Four tokens of each block: the rows, one for each block, become columns, one for each token.
        (block $few
          (loop $tokens
            (br_if $few (i32.ge_u (local.get $0) (local.get $fours)))
            (local.set $row0 (v128.load (local.get $0)))
            (local.set $row1 (v128.load (local.get $1)))
            (local.set $row2 (v128.load (local.get $2)))
            (local.set $row3 (v128.load (local.get $3)))
            (local.set $low01 (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $row0) (local.get $row1)))
            (local.set $high01
              (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $row0) (local.get $row1)))
            (local.set $low23 (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $row2) (local.get $row3)))
            (local.set $high23
              (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $row2) (local.get $row3)))
            (local.set $row0 (v128.load (local.get $4)))
            (local.set $row1 (v128.load (local.get $5)))
            (local.set $row2 (v128.load (local.get $6)))
            (local.set $row3 (v128.load (local.get $7)))
            (local.set $otherLow01
              (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $row0) (local.get $row1)))
            (local.set $otherHigh01
              (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $row0) (local.get $row1)))
            (local.set $otherLow23
              (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $row2) (local.get $row3)))
            (local.set $otherHigh23
              (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $row2) (local.get $row3)))
            (local.set $token
              (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $low01) (local.get $low23)))
            (local.set $a (i32x4.mul (v128.xor (local.get $a) (local.get $token)) (local.get $byA)))
            (local.set $a (v128.or (i32x4.shl (local.get $a) (i32.const 15)) (i32x4.shr_u (local.get $a) (i32.const 17))))
            (local.set $b (i32x4.mul (v128.xor (local.get $b) (local.get $token)) (local.get $byB)))
            (local.set $b (v128.or (i32x4.shl (local.get $b) (i32.const 13)) (i32x4.shr_u (local.get $b) (i32.const 19))))
            (local.set $otherToken
              (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $otherLow01) (local.get $otherLow23)))
            (local.set $otherA (i32x4.mul (v128.xor (local.get $otherA) (local.get $otherToken)) (local.get $byA)))
            (local.set $otherA (v128.or (i32x4.shl (local.get $otherA) (i32.const 15)) (i32x4.shr_u (local.get $otherA) (i32.const 17))))
            (local.set $otherB (i32x4.mul (v128.xor (local.get $otherB) (local.get $otherToken)) (local.get $byB)))
            (local.set $otherB (v128.or (i32x4.shl (local.get $otherB) (i32.const 13)) (i32x4.shr_u (local.get $otherB) (i32.const 19))))
            (local.set $token
              (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $low01) (local.get $low23)))
            (local.set $a (i32x4.mul (v128.xor (local.get $a) (local.get $token)) (local.get $byA)))
            (local.set $a (v128.or (i32x4.shl (local.get $a) (i32.const 15)) (i32x4.shr_u (local.get $a) (i32.const 17))))
            (local.set $b (i32x4.mul (v128.xor (local.get $b) (local.get $token)) (local.get $byB)))
            (local.set $b (v128.or (i32x4.shl (local.get $b) (i32.const 13)) (i32x4.shr_u (local.get $b) (i32.const 19))))
            (local.set $otherToken
              (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $otherLow01) (local.get $otherLow23)))
            (local.set $otherA (i32x4.mul (v128.xor (local.get $otherA) (local.get $otherToken)) (local.get $byA)))
            (local.set $otherA (v128.or (i32x4.shl (local.get $otherA) (i32.const 15)) (i32x4.shr_u (local.get $otherA) (i32.const 17))))
            (local.set $otherB (i32x4.mul (v128.xor (local.get $otherB) (local.get $otherToken)) (local.get $byB)))
            (local.set $otherB (v128.or (i32x4.shl (local.get $otherB) (i32.const 13)) (i32x4.shr_u (local.get $otherB) (i32.const 19))))
            (local.set $token
              (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $high01) (local.get $high23)))
            (local.set $a (i32x4.mul (v128.xor (local.get $a) (local.get $token)) (local.get $byA)))
            (local.set $a (v128.or (i32x4.shl (local.get $a) (i32.const 15)) (i32x4.shr_u (local.get $a) (i32.const 17))))
            (local.set $b (i32x4.mul (v128.xor (local.get $b) (local.get $token)) (local.get $byB)))
            (local.set $b (v128.or (i32x4.shl (local.get $b) (i32.const 13)) (i32x4.shr_u (local.get $b) (i32.const 19))))
            (local.set $otherToken
              (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $otherHigh01) (local.get $otherHigh23)))
            (local.set $otherA (i32x4.mul (v128.xor (local.get $otherA) (local.get $otherToken)) (local.get $byA)))
            (local.set $otherA (v128.or (i32x4.shl (local.get $otherA) (i32.const 15)) (i32x4.shr_u (local.get $otherA) (i32.const 17))))
            (local.set $otherB (i32x4.mul (v128.xor (local.get $otherB) (local.get $otherToken)) (local.get $byB)))
            (local.set $otherB (v128.or (i32x4.shl (local.get $otherB) (i32.const 13)) (i32x4.shr_u (local.get $otherB) (i32.const 19))))
            (local.set $token
              (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $high01) (local.get $high23)))
            (local.set $a (i32x4.mul (v128.xor (local.get $a) (local.get $token)) (local.get $byA)))
            (local.set $a (v128.or (i32x4.shl (local.get $a) (i32.const 15)) (i32x4.shr_u (local.get $a) (i32.const 17))))
            (local.set $b (i32x4.mul (v128.xor (local.get $b) (local.get $token)) (local.get $byB)))
            (local.set $b (v128.or (i32x4.shl (local.get $b) (i32.const 13)) (i32x4.shr_u (local.get $b) (i32.const 19))))
            (local.set $otherToken
              (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $otherHigh01) (local.get $otherHigh23)))
            (local.set $otherA (i32x4.mul (v128.xor (local.get $otherA) (local.get $otherToken)) (local.get $byA)))
            (local.set $otherA (v128.or (i32x4.shl (local.get $otherA) (i32.const 15)) (i32x4.shr_u (local.get $otherA) (i32.const 17))))
            (local.set $otherB (i32x4.mul (v128.xor (local.get $otherB) (local.get $otherToken)) (local.get $byB)))
            (local.set $otherB (v128.or (i32x4.shl (local.get $otherB) (i32.const 13)) (i32x4.shr_u (local.get $otherB) (i32.const 19))))

            ;; Two of the blocks before.
            (local.set $links (i32.const 2))
            (block $linked
              (loop $link
                (br_if $linked (i32.or (i32.eqz (local.get $links)) (i32.ge_u (local.get $chained) (local.get $result))))
                (local.set $parentA
                  (i32.mul (i32.xor (local.get $parentA) (i32.shr_u (local.get $parentA) (i32.const 15))) (local.get $multiplierA)))
                (local.set $parentB
                  (i32.mul (i32.xor (local.get $parentB) (i32.shr_u (local.get $parentB) (i32.const 13))) (local.get $multiplierB)))
                (local.set $parentA (i32.add (local.get $parentA) (i32.load (local.get $chained))))
                (local.set $parentB (i32.add (local.get $parentB) (i32.load offset=4 (local.get $chained))))
                (i32.store (local.get $chained) (local.get $parentA))
                (i32.store offset=4 (local.get $chained) (local.get $parentB))
                (local.set $chained (i32.add (local.get $chained) (i32.const 8)))
                (local.set $links (i32.sub (local.get $links) (i32.const 1)))
                (br $link)))

            (local.set $0 (i32.add (local.get $0) (i32.const 16)))
            (local.set $1 (i32.add (local.get $1) (i32.const 16)))
            (local.set $2 (i32.add (local.get $2) (i32.const 16)))
            (local.set $3 (i32.add (local.get $3) (i32.const 16)))
            (local.set $4 (i32.add (local.get $4) (i32.const 16)))
            (local.set $5 (i32.add (local.get $5) (i32.const 16)))
            (local.set $6 (i32.add (local.get $6) (i32.const 16)))
            (local.set $7 (i32.add (local.get $7) (i32.const 16)))
            (br $tokens)))

        ;; The same token of all eight blocks in each step.
        (block $none
          (loop $one
            (br_if $none (i32.ge_u (local.get $0) (local.get $end)))
            (local.set $token (v128.load32_zero (local.get $0)))
            (local.set $token (v128.load32_lane 1 (local.get $1) (local.get $token)))
            (local.set $token (v128.load32_lane 2 (local.get $2) (local.get $token)))
            (local.set $token (v128.load32_lane 3 (local.get $3) (local.get $token)))
            (local.set $otherToken (v128.load32_zero (local.get $4)))
            (local.set $otherToken (v128.load32_lane 1 (local.get $5) (local.get $otherToken)))
            (local.set $otherToken (v128.load32_lane 2 (local.get $6) (local.get $otherToken)))
            (local.set $otherToken (v128.load32_lane 3 (local.get $7) (local.get $otherToken)))
            (local.set $a (i32x4.mul (v128.xor (local.get $a) (local.get $token)) (local.get $byA)))
            (local.set $a (v128.or (i32x4.shl (local.get $a) (i32.const 15)) (i32x4.shr_u (local.get $a) (i32.const 17))))
            (local.set $b (i32x4.mul (v128.xor (local.get $b) (local.get $token)) (local.get $byB)))
            (local.set $b (v128.or (i32x4.shl (local.get $b) (i32.const 13)) (i32x4.shr_u (local.get $b) (i32.const 19))))
            (local.set $otherA (i32x4.mul (v128.xor (local.get $otherA) (local.get $otherToken)) (local.get $byA)))
            (local.set $otherA (v128.or (i32x4.shl (local.get $otherA) (i32.const 15)) (i32x4.shr_u (local.get $otherA) (i32.const 17))))
            (local.set $otherB (i32x4.mul (v128.xor (local.get $otherB) (local.get $otherToken)) (local.get $byB)))
            (local.set $otherB (v128.or (i32x4.shl (local.get $otherB) (i32.const 13)) (i32x4.shr_u (local.get $otherB) (i32.const 19))))
            (local.set $0 (i32.add (local.get $0) (i32.const 4)))
            (local.set $1 (i32.add (local.get $1) (i32.const 4)))
            (local.set $2 (i32.add (local.get $2) (i32.const 4)))
            (local.set $3 (i32.add (local.get $3) (i32.const 4)))
            (local.set $4 (i32.add (local.get $4) (i32.const 4)))
            (local.set $5 (i32.add (local.get $5) (i32.const 4)))
            (local.set $6 (i32.add (local.get $6) (i32.const 4)))
            (local.set $7 (i32.add (local.get $7) (i32.const 4)))
            (br $one)))

        ;; Three rounds, each of which adds what `scramble` makes of one lane to the other.
        (local.set $word (i32x4.add (local.get $a) (i32x4.splat (local.get $initA))))
        (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
        (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0x85ebca6b 0x85ebca6b 0x85ebca6b 0x85ebca6b)))
        (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 13))))
        (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35)))
        (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
        (local.set $b (v128.xor (local.get $b) (local.get $word)))
        (local.set $otherWord (i32x4.add (local.get $otherA) (i32x4.splat (local.get $initA))))
        (local.set $otherWord (v128.xor (local.get $otherWord) (i32x4.shr_u (local.get $otherWord) (i32.const 16))))
        (local.set $otherWord (i32x4.mul (local.get $otherWord) (v128.const i32x4 0x85ebca6b 0x85ebca6b 0x85ebca6b 0x85ebca6b)))
        (local.set $otherWord (v128.xor (local.get $otherWord) (i32x4.shr_u (local.get $otherWord) (i32.const 13))))
        (local.set $otherWord (i32x4.mul (local.get $otherWord) (v128.const i32x4 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35)))
        (local.set $otherWord (v128.xor (local.get $otherWord) (i32x4.shr_u (local.get $otherWord) (i32.const 16))))
        (local.set $otherB (v128.xor (local.get $otherB) (local.get $otherWord)))
        (local.set $word (i32x4.add (local.get $b) (i32x4.splat (local.get $initB))))
        (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
        (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0x85ebca6b 0x85ebca6b 0x85ebca6b 0x85ebca6b)))
        (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 13))))
        (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35)))
        (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
        (local.set $a (v128.xor (local.get $a) (local.get $word)))
        (local.set $otherWord (i32x4.add (local.get $otherB) (i32x4.splat (local.get $initB))))
        (local.set $otherWord (v128.xor (local.get $otherWord) (i32x4.shr_u (local.get $otherWord) (i32.const 16))))
        (local.set $otherWord (i32x4.mul (local.get $otherWord) (v128.const i32x4 0x85ebca6b 0x85ebca6b 0x85ebca6b 0x85ebca6b)))
        (local.set $otherWord (v128.xor (local.get $otherWord) (i32x4.shr_u (local.get $otherWord) (i32.const 13))))
        (local.set $otherWord (i32x4.mul (local.get $otherWord) (v128.const i32x4 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35)))
        (local.set $otherWord (v128.xor (local.get $otherWord) (i32x4.shr_u (local.get $otherWord) (i32.const 16))))
        (local.set $otherA (v128.xor (local.get $otherA) (local.get $otherWord)))
        (local.set $word (local.get $a))
        (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
        (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0x85ebca6b 0x85ebca6b 0x85ebca6b 0x85ebca6b)))
        (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 13))))
        (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35)))
        (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
        (local.set $b (v128.xor (local.get $b) (local.get $word)))
        (local.set $otherWord (local.get $otherA))
        (local.set $otherWord (v128.xor (local.get $otherWord) (i32x4.shr_u (local.get $otherWord) (i32.const 16))))
        (local.set $otherWord (i32x4.mul (local.get $otherWord) (v128.const i32x4 0x85ebca6b 0x85ebca6b 0x85ebca6b 0x85ebca6b)))
        (local.set $otherWord (v128.xor (local.get $otherWord) (i32x4.shr_u (local.get $otherWord) (i32.const 13))))
        (local.set $otherWord (i32x4.mul (local.get $otherWord) (v128.const i32x4 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35)))
        (local.set $otherWord (v128.xor (local.get $otherWord) (i32x4.shr_u (local.get $otherWord) (i32.const 16))))
        (local.set $otherB (v128.xor (local.get $otherB) (local.get $otherWord)))

        ;; Both words of two blocks in each of them.
        (v128.store (local.get $result)
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $a) (local.get $b)))
        (v128.store offset=16 (local.get $result)
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $a) (local.get $b)))
        (v128.store offset=32 (local.get $result)
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $otherA) (local.get $otherB)))
        (v128.store offset=48 (local.get $result)
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $otherA) (local.get $otherB)))
        (local.set $result (i32.add (local.get $result) (i32.const 64)))
        (local.set $block (i32.add (local.get $block) (i32.const 8)))
        (br $eight)))

    ;; What is not chained yet.
    (block $all
      (loop $last
        (br_if $all (i32.ge_u (local.get $chained) (local.get $result)))
        (local.set $parentA
          (i32.mul (i32.xor (local.get $parentA) (i32.shr_u (local.get $parentA) (i32.const 15))) (local.get $multiplierA)))
        (local.set $parentB
          (i32.mul (i32.xor (local.get $parentB) (i32.shr_u (local.get $parentB) (i32.const 13))) (local.get $multiplierB)))
        (local.set $parentA (i32.add (local.get $parentA) (i32.load (local.get $chained))))
        (local.set $parentB (i32.add (local.get $parentB) (i32.load offset=4 (local.get $chained))))
        (i32.store (local.get $chained) (local.get $parentA))
        (i32.store offset=4 (local.get $chained) (local.get $parentB))
        (local.set $chained (i32.add (local.get $chained) (i32.const 8)))
        (br $last)))))
