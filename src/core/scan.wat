;; The inner loop of the chunker: `scan.ts` has its bytes, a test makes them of this again.
;; Memory: the gear table at 0, the table of its values shifted by one at 1024, the bytes wherever the caller put them.
(module
  (memory (export "memory") 70)
  (global $left (export "fingerprint") (mut i32) (i32.const 0))
  ;; Goes on with `fingerprint` over the bytes from `at` to `stop`, four at a time: the end of the chunk, or -1 where there is none in
  ;; the last four that are whole; then the fingerprint is left in the global. What the bytes add is summed beside the fingerprint, so
  ;; that four of them wait for one shift and one sum only.
  (func (export "scan") (param $at i32) (param $stop i32) (param $fingerprint i32) (param $mask i32) (param $shifted i32) (result i32)
    (local $four i32) (local $first i32) (local $second i32) (local $third i32) (local $twice i32)
    (local.set $stop (i32.sub (local.get $stop) (i32.const 3)))
    (block $out
      (loop $next
        (br_if $out (i32.ge_s (local.get $at) (local.get $stop)))
        (local.set $four (i32.load (local.get $at)))
        (local.set $first
          (i32.load offset=1024 (i32.shl (i32.and (local.get $four) (i32.const 0xff)) (i32.const 2))))
        (local.set $second
          (i32.add
            (local.get $first)
            (i32.load (i32.and (i32.shr_u (local.get $four) (i32.const 6)) (i32.const 0x3fc)))))
        (local.set $third
          (i32.load offset=1024 (i32.and (i32.shr_u (local.get $four) (i32.const 14)) (i32.const 0x3fc))))
        (local.set $twice (i32.shl (local.get $fingerprint) (i32.const 2)))
        (local.set $third
          (i32.add
            (local.get $third)
            (i32.add (i32.shl (local.get $fingerprint) (i32.const 4)) (i32.shl (local.get $second) (i32.const 2)))))
        (local.set $first (i32.add (local.get $first) (local.get $twice)))
        (local.set $second (i32.add (local.get $second) (local.get $twice)))
        (local.set $fingerprint
          (i32.add
            (local.get $third)
            (i32.load (i32.shl (i32.shr_u (local.get $four) (i32.const 24)) (i32.const 2)))))
        (if (i32.eqz (i32.and (local.get $first) (local.get $shifted)))
          (then (return (i32.add (local.get $at) (i32.const 1)))))
        (if (i32.eqz (i32.and (local.get $second) (local.get $mask)))
          (then (return (i32.add (local.get $at) (i32.const 2)))))
        (if (i32.eqz (i32.and (local.get $third) (local.get $shifted)))
          (then (return (i32.add (local.get $at) (i32.const 3)))))
        (if (i32.eqz (i32.and (local.get $fingerprint) (local.get $mask)))
          (then (return (i32.add (local.get $at) (i32.const 4)))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $next)))
    (global.set $left (local.get $fingerprint))
    (i32.const -1)))
