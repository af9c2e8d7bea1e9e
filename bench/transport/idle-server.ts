/** A publisher that says nothing, for connections to idle at. Prints its endpoint. */
import { zmtp } from "../../transports/zmtp/index.ts";

process.stdout.write(`${await zmtp().publisher().bind("tcp://127.0.0.1:*")}\n`);
