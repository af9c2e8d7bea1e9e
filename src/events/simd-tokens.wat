;; Token ids, eight at a time, and names of blocks: `tokenIds` and `hashesTo` in usual-event.ts do the same in plain
;; JavaScript, and are the oracles.
;; Made into simd-tokens-code.ts by `npm run build:wasm`.
(module
  ;; Eleven pages: the payload from byte 0 on, token ids from byte 262,144 on, and from byte 524,288 on what simd-hash.wat
  ;; needs, by which they are hashed where they are. Names come from byte 589,824 on, where that has columns, too: neither keeps
  ;; anything from call to call.
  (memory (export "memory") 11 11)

  ;; MessagePack's unsigned integers of at most 32 bits (1, 2, 3 or 5 bytes) from byte $at on, as words to $to until $end: at
  ;; least one and a multiple of eight. The position behind them, or -1 where one of them is something else.
  ;;
  ;; Where one begins is known only when the length of the one before is. So the next position is looked up for each of 16
  ;; bytes as if one began there; a swizzle by that vector then is a step from one to the next. Four begin within 16 bytes,
  ;; and end within 20.
  ;;
  ;; All waits for those steps, and a load from where the last one leads would be half of what it waits for. So the bytes of
  ;; the second four are loaded with those of the first, wherever they may begin, and picked when that is known.
  (func (export "tokens") (param $at i32) (param $to i32) (param $end i32) (result i32)
    (local $bytes v128) (local $next v128) (local $afterNext v128) (local $two v128) (local $step v128)
    (local $ends v128) (local $starts v128) (local $from v128) (local $isWithin v128) (local $words v128)
    (local $ahead v128) (local $farAhead v128) (local $wrong v128)

    (loop $eight
      (local.set $bytes (v128.load (local.get $at)))
      ;; The second four begin at 4 to 20.
      (local.set $ahead (v128.load offset=4 (local.get $at)))
      (local.set $farAhead (v128.load offset=20 (local.get $at)))

      ;; Behind a head of 0xcc, 0xcd or 0xce are 1, 2 or 4 bytes more, behind any other none.
      (local.set $next (i8x16.add
        (v128.const i8x16 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
        (i8x16.swizzle
          (v128.const i8x16 0 0 0 0 0 0 0 0 0 0 0 0 1 2 4 0)
          (i8x16.sub (local.get $bytes) (v128.const i64x2 0xc0c0c0c0c0c0c0c0 0xc0c0c0c0c0c0c0c0)))))
      (local.set $afterNext (i8x16.swizzle (local.get $next) (local.get $next)))
      ;; Over all four, in each byte.
      (local.set $step
        (i8x16.swizzle (local.get $afterNext) (i8x16.swizzle (local.get $afterNext) (v128.const i64x2 0 0))))

      ;; From here on the four bytes of a lane belong to one token. The ends of the first two, in both halves; then of all.
      (local.set $two (i8x16.swizzle
        (i8x16.shuffle 0 16 1 17 2 18 3 19 4 20 5 21 6 22 7 23 (local.get $next) (local.get $afterNext))
        (v128.const i8x16 0 0 0 0 1 1 1 1 0 0 0 0 1 1 1 1)))
      (local.set $ends (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
        (local.get $two)
        (i8x16.swizzle (local.get $afterNext) (local.get $two))))
      (local.set $starts (i8x16.shuffle 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27
        (v128.const i64x2 0 0)
        (local.get $ends)))
      ;; The four bytes that end where a token does. The last token's may lie behind the 16.
      (local.set $from (i8x16.sub (local.get $ends) (v128.const i8x16 4 3 2 1 4 3 2 1 4 3 2 1 4 3 2 1)))
      (local.set $at
        (i32.add (local.get $at) (i32.and (i32x4.extract_lane 0 (local.get $step)) (i32.const 255))))
      (local.set $words (v128.load32_lane 3
        (i32.sub (local.get $at) (i32.const 4))
        (i8x16.swizzle (local.get $bytes) (local.get $from))))
      ;; What lies at or before the head is none of the token, but the last byte is. A word's lowest byte comes last here.
      (local.set $isWithin (i8x16.gt_s (local.get $from) (local.get $starts)))
      (v128.store (local.get $to) (i8x16.swizzle
        (v128.and
          (local.get $words)
          (v128.or (local.get $isWithin) (v128.const i32x4 0xff000000 0xff000000 0xff000000 0xff000000)))
        (v128.const i8x16 3 2 1 0 7 6 5 4 11 10 9 8 15 14 13 12)))
      ;; Of a lane's last byte, the top bit: it is the head itself, and 0x80 or more.
      (local.set $wrong (v128.or (local.get $wrong) (v128.andnot (local.get $words) (local.get $isWithin))))

      ;; The second four, likewise.
      (local.set $bytes (v128.or
        (i8x16.swizzle (local.get $ahead)
          (i8x16.add (local.get $step) (v128.const i8x16 -4 -3 -2 -1 0 1 2 3 4 5 6 7 8 9 10 11)))
        (i8x16.swizzle (local.get $farAhead)
          (i8x16.add (local.get $step)
            (v128.const i8x16 -20 -19 -18 -17 -16 -15 -14 -13 -12 -11 -10 -9 -8 -7 -6 -5)))))
      (local.set $next (i8x16.add
        (v128.const i8x16 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
        (i8x16.swizzle
          (v128.const i8x16 0 0 0 0 0 0 0 0 0 0 0 0 1 2 4 0)
          (i8x16.sub (local.get $bytes) (v128.const i64x2 0xc0c0c0c0c0c0c0c0 0xc0c0c0c0c0c0c0c0)))))
      (local.set $afterNext (i8x16.swizzle (local.get $next) (local.get $next)))
      (local.set $two (i8x16.swizzle
        (i8x16.shuffle 0 16 1 17 2 18 3 19 4 20 5 21 6 22 7 23 (local.get $next) (local.get $afterNext))
        (v128.const i8x16 0 0 0 0 1 1 1 1 0 0 0 0 1 1 1 1)))
      (local.set $ends (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
        (local.get $two)
        (i8x16.swizzle (local.get $afterNext) (local.get $two))))
      (local.set $starts (i8x16.shuffle 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27
        (v128.const i64x2 0 0)
        (local.get $ends)))
      (local.set $from (i8x16.sub (local.get $ends) (v128.const i8x16 4 3 2 1 4 3 2 1 4 3 2 1 4 3 2 1)))
      ;; A whole lane is there sooner than a byte of it.
      (local.set $at
        (i32.add (local.get $at)
          (i32.and
            (i32x4.extract_lane 0 (i8x16.swizzle (local.get $afterNext) (local.get $afterNext)))
            (i32.const 255))))
      (local.set $words (v128.load32_lane 3
        (i32.sub (local.get $at) (i32.const 4))
        (i8x16.swizzle (local.get $bytes) (local.get $from))))
      (local.set $isWithin (i8x16.gt_s (local.get $from) (local.get $starts)))
      (v128.store offset=16 (local.get $to) (i8x16.swizzle
        (v128.and
          (local.get $words)
          (v128.or (local.get $isWithin) (v128.const i32x4 0xff000000 0xff000000 0xff000000 0xff000000)))
        (v128.const i8x16 3 2 1 0 7 6 5 4 11 10 9 8 15 14 13 12)))
      (local.set $wrong (v128.or (local.get $wrong) (v128.andnot (local.get $words) (local.get $isWithin))))

      (local.set $to (i32.add (local.get $to) (i32.const 32)))
      (br_if $eight (i32.lt_u (local.get $to) (local.get $end))))

    (select (i32.const -1) (local.get $at)
      (v128.any_true
        (v128.and (local.get $wrong) (v128.const i32x4 0x80000000 0x80000000 0x80000000 0x80000000)))))

  ;; So many of MessagePack's unsigned integers of 64 bits, an even number of them, from byte $at on, as pairs of words from byte
  ;; 589,824 on, the lower one first. The position behind them, or -1 where one of them is something else.
  (func (export "names") (param $at i32) (param $count i32) (result i32)
    (local $to i32) (local $end i32) (local $wrong i32)
    (local.set $end (i32.shl (local.get $count) (i32.const 3)))
    (block $done
      (loop $two
        (br_if $done (i32.eq (local.get $to) (local.get $end)))
        (v128.store offset=589824 (local.get $to)
          (i8x16.swizzle
            (v128.load64_lane offset=10 1 (local.get $at) (v128.load64_zero offset=1 (local.get $at)))
            (v128.const i8x16 7 6 5 4 3 2 1 0 15 14 13 12 11 10 9 8)))
        (local.set $wrong
          (i32.or
            (local.get $wrong)
            (i32.or
              (i32.xor (i32.load8_u (local.get $at)) (i32.const 0xcf))
              (i32.xor (i32.load8_u offset=9 (local.get $at)) (i32.const 0xcf)))))
        (local.set $at (i32.add (local.get $at) (i32.const 18)))
        (local.set $to (i32.add (local.get $to) (i32.const 16)))
        (br $two)))
    (select (i32.const -1) (local.get $at) (local.get $wrong))))
