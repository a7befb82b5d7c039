import asyncio, sys, tempfile
from pathlib import Path
from bench import contestants as c
from bench.stage import stage
from bench.measure.fanout import Load, fanout
async def main():
    with tempfile.TemporaryDirectory() as f:
        async with stage(Path(f)) as s:
            for name in sys.argv[1].split(","):
                con = getattr(c, name)
                r = await fanout(s, con, Load(transport=sys.argv[2], clients=int(sys.argv[3]), events=int(sys.argv[4]), rate=float(sys.argv[5]), burst=int(sys.argv[6])))
                print(name, f"{r.server*1e6:.2f} us/delivery, all {r.all_processes*1e6:.2f}, {r.deliveries_per_second:,.0f}/s busy {r.busy:.0%}", flush=True)
asyncio.run(main())
