import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { activeThatSettle, judgePlan } from '../../../model/deletion-limits.ts';

const limits = { count: 500, percent: 10, floor: 10 };

describe('a plan of removals', () => {
  it.each([
    ['nothing', 0, 0, false],
    ['as many as the floor, though they are all there is', 10, 10, false],
    ['one above the floor and beyond the percentage', 11, 109, true],
    ['exactly the percentage', 11, 110, false],
    ['exactly the count', 500, 100_000, false],
    ['one above the count', 501, 100_000, true],
    ['more than there are', 11, 0, true],
  ])('of %s is held or not', (_, candidates, active, held) => {
    expect(judgePlan({ candidates, active, recent: 0, limits, emptyListing: false }).held).toBe(held);
  });

  it('is held, however small, if the listing was empty over existing objects', () => {
    expect(judgePlan({ candidates: 1, active: 1, recent: 0, limits, emptyListing: true })).toEqual({
      held: true,
      reason: 'the complete listing was empty, while 1 are active',
    });
    expect(judgePlan({ candidates: 0, active: 0, recent: 0, limits, emptyListing: true })).toEqual({ held: false });
  });

  it('says which limit holds it', () => {
    expect(judgePlan({ candidates: 501, active: 100_000, recent: 0, limits, emptyListing: false })).toMatchObject({
      reason: '501 removals exceed the limit of 500',
    });
    expect(judgePlan({ candidates: 50, active: 100, recent: 0, limits, emptyListing: false })).toMatchObject({
      reason: '50 removals exceed 10 percent of 100 active',
    });
  });

  it.each([
    ['within the floor of a day', 3, 7, 40, false],
    ['small by itself, but one above the floor of a day and beyond the percentage', 1, 10, 98, true],
    ['small by itself, exactly the percentage of what was active a day ago', 1, 10, 100, false],
    ['small by itself, one above the count of a day', 1, 500, 100_000, true],
    ['nothing, whatever went before', 0, 5_000, 10, false],
  ])('is judged with what was removed within a day: %s', (_, candidates, recent, active, held) => {
    expect(judgePlan({ candidates, active, recent, limits, emptyListing: false }).held).toBe(held);
  });

  it('says what it was counted with', () => {
    expect(judgePlan({ candidates: 1, active: 100_000, recent: 500, limits, emptyListing: false })).toMatchObject({
      reason: '1 removals, with 500 of the last 24 hours, exceed the limit of 500',
    });
  });

  it('is judged the same by a count that stops where it is settled', () => {
    fc.assert(
      fc.property(fc.nat(600), fc.nat(20_000), fc.nat(600), fc.integer({ min: 0, max: 100 }), (candidates, active, recent, percent) => {
        const plan = { candidates, recent, limits: { ...limits, percent }, emptyListing: false };
        const counted = Math.min(active, activeThatSettle(plan));
        expect(judgePlan({ ...plan, active: counted })).toEqual(judgePlan({ ...plan, active }));
      }),
    );
    expect(activeThatSettle({ candidates: 25, recent: 0, limits })).toBe(250);
  });

  it('that would be held by itself is held after others, too', () => {
    fc.assert(
      fc.property(fc.nat(2_000), fc.nat(20_000), fc.nat(2_000), (candidates, more, recent) => {
        const plan = { candidates, active: candidates + more, limits, emptyListing: false };
        expect(judgePlan({ ...plan, recent: 0 }).held && !judgePlan({ ...plan, recent }).held).toBe(false);
      }),
    );
  });

  it('that is larger is never held less', () => {
    fc.assert(
      fc.property(fc.nat(2_000), fc.nat(2_000), fc.nat(20_000), fc.nat(2_000), (candidates, more, active, recent) => {
        const smaller = judgePlan({ candidates, active, recent, limits, emptyListing: false });
        const larger = judgePlan({ candidates: candidates + more, active, recent, limits, emptyListing: false });
        expect(smaller.held && !larger.held).toBe(false);
      }),
    );
  });
});
