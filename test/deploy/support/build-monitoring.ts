// `npm run build:monitoring`: makes the dashboard, and the table of all series, from the code.
import { makeMonitoring } from "./monitoring.ts";

makeMonitoring();
